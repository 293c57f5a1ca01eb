#include <algorithm>
#include <cmath>
#include <exception>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "infer/c_api/deepshift.h"
#include "infer/cpu/cpu_net.h"
#include "infer/integer_net_file.h"

struct ds_net {
  ds::infer::CpuNet cpu;
};

namespace {

constexpr int64_t kImagesAtATime = 16;  // converted from floats

std::string& last_error() {
  thread_local std::string message;
  return message;
}

/// Keeps what went wrong, if there is memory for it.
void keep_error(const char* message) noexcept {
  try {
    last_error() = message;
  } catch (...) {
    last_error().clear();
  }
}

/// Calls body; 1, and its message kept, when it throws: exceptions must not reach C.
template <class Body>
int guarded(Body&& body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    keep_error(error.what());
  } catch (...) {
    keep_error("unknown error");
  }
  return 1;
}

void check_call(const ds_net* net, const void* pixels, int64_t images, const void* outputs) {
  DS_CHECK(net != nullptr && pixels != nullptr && outputs != nullptr,
           "[deepshift] net, pixels or outputs is NULL, expected all three");
  DS_CHECK(images >= 1, "[deepshift] {} images, expected at least 1", images);
}

int64_t output_count(const ds_net& net) { return net.cpu.net().result().shape.numel(); }

void run(const ds_net& net, const uint8_t* pixels, int64_t images, float* outputs) {
  std::vector<int32_t> integers(static_cast<size_t>(images * output_count(net)));
  net.cpu.run(pixels, images, integers.data());
  const int fraction_bits = net.cpu.net().result().format.fraction_bits;
  for (size_t i = 0; i < integers.size(); ++i) {
    outputs[i] = std::ldexp(static_cast<float>(integers[i]), -fraction_bits);
  }
}

}  // namespace

ds_net* ds_load(const char* path) {
  ds_net* net = nullptr;
  guarded([&] {
    DS_CHECK(path != nullptr, "[deepshift] path is NULL");
    net = new ds_net{ds::infer::CpuNet(ds::infer::load_integer_net(path))};
  });
  return net;
}

void ds_free(ds_net* net) { delete net; }

void ds_input_shape(const ds_net* net, int64_t shape[3]) {
  const ds::Shape& input = net->cpu.net().input();
  for (int axis = 0; axis < 3; ++axis) shape[axis] = input[axis];
}

int64_t ds_output_count(const ds_net* net) { return output_count(*net); }

int ds_run_u8(const ds_net* net, const uint8_t* pixels, int64_t images, float* outputs) {
  return guarded([&] {
    check_call(net, pixels, images, outputs);
    run(*net, pixels, images, outputs);
  });
}

int ds_run_f32(const ds_net* net, const float* pixels, int64_t images, float* outputs) {
  return guarded([&] {
    check_call(net, pixels, images, outputs);
    const int64_t values = net->cpu.net().input().numel();
    std::vector<uint8_t> bytes(static_cast<size_t>(std::min(images, kImagesAtATime) * values));
    for (int64_t first = 0; first < images; first += kImagesAtATime) {
      const int64_t count = std::min(kImagesAtATime, images - first);
      const float* from = pixels + first * values;
      std::transform(from, from + count * values, bytes.begin(), [](float value) {
        return static_cast<uint8_t>(
            std::lround(std::clamp(value > 0.0F ? value : 0.0F, 0.0F, 1.0F) * 255.0F));
      });
      run(*net, bytes.data(), count, outputs + first * output_count(*net));
    }
  });
}

int ds_run_u8_i32(const ds_net* net, const uint8_t* pixels, int64_t images, int32_t* outputs) {
  return guarded([&] {
    check_call(net, pixels, images, outputs);
    net->cpu.run(pixels, images, outputs);
  });
}

int ds_fraction_bits(const ds_net* net) { return net->cpu.net().result().format.fraction_bits; }

int ds_set_threads(int threads) {
  return guarded([&] { ds::set_num_threads(threads); });
}

const char* ds_last_error(void) { return last_error().c_str(); }
