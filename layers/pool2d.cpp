#include "layers/pool2d.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "layers/describe.h"

namespace ds {

Pool2d::Pool2d(const char* name, const Pool2dLayerOptions& options)
    : name_(name),
      options_{.kernel = options.kernel,
               .stride = options.stride.value_or(options.kernel),
               .padding = options.padding,
               .count_include_pad = options.count_include_pad,
               .ceil_mode = options.ceil_mode} {
  const auto& [kernel, stride, padding, count_include_pad, ceil_mode] = options_;
  DS_CHECK(kernel.height >= 1 && kernel.width >= 1, "[{}] kernel {}, expected at least 1", name, str(kernel));
  DS_CHECK(stride.height >= 1 && stride.width >= 1, "[{}] stride {}, expected at least 1", name, str(stride));
  DS_CHECK(padding.height >= 0 && padding.width >= 0 && 2 * padding.height <= kernel.height &&
               2 * padding.width <= kernel.width,
           "[{}] padding {}, expected 0 to half the kernel, {}", name, str(padding), str(kernel));
}

std::string Pool2d::describe() const {
  return fmt::format("{}(kernel {}, stride {}, padding {}{}{})", name_, str(options_.kernel),
                     str(options_.stride), str(options_.padding),
                     options_.count_include_pad ? "" : ", padding not counted",
                     options_.ceil_mode ? ", ceil mode" : "");
}

Variable MaxPool2d::forward(const Variable& x) { return max_pool2d(x, options()); }
Variable AvgPool2d::forward(const Variable& x) { return avg_pool2d(x, options()); }
Variable GlobalAvgPool2d::forward(const Variable& x) { return global_avg_pool2d(x); }

}  // namespace ds
