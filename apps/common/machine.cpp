#include "apps/common/machine.h"

#include "core/backend.h"
#include "core/error.h"
#include "core/parallel.h"

namespace ds::apps {

void set_up_machine(MachineOptions& options) {
  if (!options.engine.empty()) set_engine(parse_engine(options.engine));
  options.engine = name_of(engine());
  const Device device = options.device == "auto" ? best_device() : parse_device(options.device);
  backend(device);  // throws when it is not there
  options.device = device.str();
  instruction_set();  // throws when DEEPSHIFT_ISA names none
  const Precision wanted = parse_precision(options.precision);
  DS_CHECK(wanted == Precision::kF32 || device.type == DeviceType::kCuda || engine() == Engine::kNative,
           "[precision] {} is of the native engine, but the engine is {}", options.precision, options.engine);
  set_precision(wanted, device);
  if (options.threads > 0) set_num_threads(options.threads);
  pin_threads();
}

}  // namespace ds::apps
