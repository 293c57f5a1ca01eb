// The nodes without filters: pixels in, pooling, addition, and what only moves values.
#include <algorithm>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "core/parallel.h"
#include "infer/arithmetic.h"
#include "infer/cpu/rescaler.h"
#include "infer/cpu/step.h"

namespace ds::infer {
namespace {

constexpr int64_t kValues = 256;  // at a time: their sums stay in the first cache
constexpr int64_t kRowsOfChunk = 4;

/// Calls body with a pointer of the value's type.
template <class Body>
void dispatch_stored(DType type, Body&& body) {
  switch (type) {
    case DType::kU8: return body(uint8_t{});
    case DType::kI8: return body(int8_t{});
    case DType::kI16: return body(int16_t{});
    default: return body(int32_t{});
  }
}

/// Calls body(image, row) for every row of a value, in parallel.
template <class Body>
void for_rows(const RunContext& context, const Place& place, Body&& body) {
  parallel_for(context.images * place.height, kRowsOfChunk, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto [image, y] = divide(row, place.height);
      body(image, y);
    }
  });
}

uint8_t* pixel(const RunContext& context, const Place& place, int64_t image, int64_t row, int64_t column) {
  return place.image(context.arena, image) + row * place.row_bytes() + column * place.pixel_bytes;
}

/// Sums of some channels of a pixel, on their way to a Rescaler.
struct SumBuffer {
  alignas(64) int32_t narrow[kValues];
  alignas(64) int64_t wide[kValues];

  /// Those that the rescaler takes.
  void* of(const Rescaler& rescaler) { return rescaler.wide() ? static_cast<void*>(wide) : narrow; }

  /// Of the narrow ones.
  void rescale(const Rescaler& rescaler, RescaleTile tile) {
    if (rescaler.wide()) std::copy_n(narrow, tile.count, wide);
    tile.sums = of(rescaler);
    rescaler.run(tile);
  }
};

// --- pixels in

/// So many pixels are rescaled as one row where nothing stands between them.
int64_t joined_pixels(const Place& output) {
  const bool joined = output.pixel_bytes == output.channels * output.value_bytes();
  return joined ? std::clamp<int64_t>(kValues / output.channels, 1, output.width) : 1;
}

Step input_step(const StepSource& source) {
  const Place output = source.place();
  const int64_t joined = joined_pixels(output);
  const auto rescaler = std::make_shared<const Rescaler>(source, joined);
  return {.kernel = "rescaling", .run = [=](const RunContext& context) {
            for_rows(context, output, [&](int64_t image, int64_t row) {
              SumBuffer sums;
              const uint8_t* from =
                  context.pixels + (image * output.height + row) * output.width * output.channels;
              for (int64_t column = 0; column < output.width; column += joined) {
                const int64_t values = std::min(joined, output.width - column) * output.channels;
                for (int64_t first = 0; first < values; first += kValues) {
                  const int64_t count = std::min(kValues, values - first);
                  std::copy_n(from + column * output.channels + first, count, sums.narrow);
                  RescaleTile tile = rescaler->tile(first, count);
                  tile.y = pixel(context, output, image, row, column) + first * output.value_bytes();
                  sums.rescale(*rescaler, tile);
                }
              }
            });
          }};
}

// --- batch norm on its own

Step scale_step(const StepSource& source) {
  const Place input = source.input_place();
  const Place output = source.place();
  const auto rescaler = std::make_shared<const Rescaler>(source);
  const int shortcut = source.self().shortcut;
  const Place added = shortcut < 0 ? Place{} : source.places[static_cast<size_t>(shortcut)];
  return {.kernel = "rescaling", .run = [=](const RunContext& context) {
            for_rows(context, output, [&](int64_t image, int64_t row) {
              SumBuffer sums;
              for (int64_t column = 0; column < output.width; ++column) {
                for (int64_t first = 0; first < output.channels; first += kValues) {
                  const int64_t count = std::min(kValues, output.channels - first);
                  const auto at = [&](const Place& place) {
                    return pixel(context, place, image, row, column) + first * place.value_bytes();
                  };
                  dispatch_stored(input.type, [&](auto zero) {
                    std::copy_n(reinterpret_cast<const decltype(zero)*>(at(input)), count, sums.narrow);
                  });
                  RescaleTile tile = rescaler->tile(first, count);
                  tile.y = at(output);
                  if (shortcut >= 0) tile.shortcut = at(added);
                  sums.rescale(*rescaler, tile);
                }
              }
            });
          }};
}

// --- pooling

/// The taps of windows that lie within the image, as bytes from its first channel.
class Windows {
 public:
  explicit Windows(const StepSource& source) : pool_(source.self().pool), input_(source.input_place()) {
    const bool fits = pool_.kernel.height <= input_.height && pool_.kernel.width <= input_.width;
    if (fits) add_taps(0, pool_.kernel.height, 0, pool_.kernel.width, whole_);
  }

  /// Calls body(bytes to the window's origin, taps).
  template <class Body>
  void at(int64_t row, int64_t column, Body&& body) const {
    const int64_t y = row * pool_.stride.height - pool_.padding.height;
    const int64_t x = column * pool_.stride.width - pool_.padding.width;
    const int64_t end_y = std::min(y + pool_.kernel.height, input_.height);
    const int64_t end_x = std::min(x + pool_.kernel.width, input_.width);
    if (y >= 0 && x >= 0 && end_y == y + pool_.kernel.height && end_x == x + pool_.kernel.width) {
      return body(y * input_.row_bytes() + x * input_.pixel_bytes, whole_);
    }
    thread_local std::vector<int64_t> clipped;  // runs allocate nothing once they have begun
    clipped.clear();
    add_taps(std::max<int64_t>(y, 0), end_y, std::max<int64_t>(x, 0), end_x, clipped);
    body(0, clipped);
  }

 private:
  void add_taps(int64_t y, int64_t end_y, int64_t x, int64_t end_x, std::vector<int64_t>& taps) const {
    for (; y < end_y; ++y) {
      for (int64_t column = x; column < end_x; ++column) {
        taps.push_back(y * input_.row_bytes() + column * input_.pixel_bytes);
      }
    }
  }

  Pool2dOptions pool_;
  Place input_;
  std::vector<int64_t> whole_;  // of a window that lies within the image, from its origin
};

Step max_pool_step(const StepSource& source) {
  const Place input = source.input_place();
  const Place output = source.place();
  const Windows windows(source);
  const PoolKernel kernel = source.kernels.rows->max_pool[static_cast<int>(stored_type(input.type))];
  return {.kernel = "channels side by side", .run = [=](const RunContext& context) {
            for_rows(context, output, [&](int64_t image, int64_t row) {
              for (int64_t column = 0; column < output.width; ++column) {
                windows.at(row, column, [&](int64_t origin, const std::vector<int64_t>& taps) {
                  kernel({.x = input.image(context.arena, image) + origin,
                          .offsets = taps.data(),
                          .taps = static_cast<int64_t>(taps.size()),
                          .count = output.channels,
                          .y = pixel(context, output, image, row, column)});
                });
              }
            });
          }};
}

Step avg_pool_step(const StepSource& source) {
  const Place input = source.input_place();
  const Place output = source.place();
  const Windows windows(source);
  const auto rescaler = std::make_shared<const Rescaler>(source);
  const auto type = static_cast<int>(stored_type(input.type));
  const RowKernels& kernels = *source.kernels.rows;
  const PoolKernel kernel = rescaler->wide() ? kernels.sum_pool_wide[type] : kernels.sum_pool[type];
  const int64_t blocks = chunk_count(output.channels, kValues);
  return {.kernel = "channels side by side", .run = [=](const RunContext& context) {
            const int64_t pixels = context.images * output.height * output.width;
            parallel_for(pixels * blocks, kRowsOfChunk, [&](int64_t begin, int64_t end) {
              SumBuffer sums;
              for (int64_t i = begin; i < end; ++i) {
                const int64_t first = i % blocks * kValues;
                const int64_t image = i / blocks / (output.height * output.width);
                const int64_t element = i / blocks % (output.height * output.width);
                const int64_t count = std::min(kValues, output.channels - first);
                windows.at(
                    element / output.width, element % output.width,
                    [&](int64_t origin, const std::vector<int64_t>& taps) {
                      kernel({.x = input.image(context.arena, image) + origin + first * input.value_bytes(),
                              .offsets = taps.data(),
                              .taps = static_cast<int64_t>(taps.size()),
                              .count = count,
                              .y = sums.of(*rescaler)});
                    });
                RescaleTile tile = rescaler->tile(first, count);
                tile.sums = sums.of(*rescaler);
                tile.y = pixel(context, output, image, 0, element) + first * output.value_bytes();
                rescaler->run(tile);
              }
            });
          }};
}

// --- addition of two stored values

Step add_step(const StepSource& source) {
  const Place a = source.input_place(0);
  const Place b = source.input_place(1);
  const Place output = source.place();
  const Node& node = source.self();
  const Format& format_a = source.input(0).format;
  const Format& format_b = source.input(1).format;
  const int fraction = std::max({format_a.fraction_bits, format_b.fraction_bits, node.format.fraction_bits});
  const int left_a = fraction - format_a.fraction_bits;
  const int left_b = fraction - format_b.fraction_bits;
  const int right = fraction - node.format.fraction_bits;
  const int64_t low = node.low;
  const int64_t high = node.high;
  const auto add = [=]<class A, class B, class Y>(const A* x, const B* z, Y* y) {
    for (int64_t c = 0; c < output.channels; ++c) {
      const int64_t sum = (int64_t{x[c]} << left_a) + (int64_t{z[c]} << left_b);
      y[c] = static_cast<Y>(saturate(shift_right_rounded(sum, right), low, high));
    }
  };
  return {.kernel = "channels side by side", .run = [=](const RunContext& context) {
            for_rows(context, output, [&](int64_t image, int64_t row) {
              for (int64_t column = 0; column < output.width; ++column) {
                const uint8_t* x = pixel(context, a, image, row, column);
                const uint8_t* z = pixel(context, b, image, row, column);
                uint8_t* y = pixel(context, output, image, row, column);
                dispatch_stored(a.type, [&](auto type_a) {
                  dispatch_stored(b.type, [&](auto type_b) {
                    dispatch_stored(output.type, [&](auto type_y) {
                      add(reinterpret_cast<const decltype(type_a)*>(x),
                          reinterpret_cast<const decltype(type_b)*>(z),
                          reinterpret_cast<decltype(type_y)*>(y));
                    });
                  });
                });
              }
            });
          }};
}

// --- what moves values

/// Copies channels from a pixel of the input for each pixel of the output.
Step copy_step(const StepSource& source, size_t input_index, Size2d stride, int64_t to_channel,
               int64_t zeros_before, int64_t zeros_after) {
  const Place input = source.input_place(input_index);
  const Place output = source.place();
  const auto bytes = static_cast<size_t>(input.channels * input.value_bytes());
  const int64_t before = zeros_before * output.value_bytes();
  const int64_t after = zeros_after * output.value_bytes();
  const int64_t offset = to_channel * output.value_bytes();
  return {.kernel = "copy", .run = [=](const RunContext& context) {
            for_rows(context, output, [&](int64_t image, int64_t row) {
              for (int64_t column = 0; column < output.width; ++column) {
                uint8_t* y = pixel(context, output, image, row, column) + offset;
                std::memset(y, 0, static_cast<size_t>(before));
                std::memcpy(y + before,
                            pixel(context, input, image, row * stride.height, column * stride.width), bytes);
                std::memset(y + before + static_cast<int64_t>(bytes), 0, static_cast<size_t>(after));
              }
            });
          }};
}

/// Copies those inputs that do not stand within the concatenation already.
Step concat_step(const StepSource& source) {
  std::vector<Step> copies;
  int64_t channel = 0;
  for (size_t i = 0; i < source.self().inputs.size(); ++i) {
    const Place& input = source.input_place(i);
    const bool in_place = input.offset == source.place().offset + channel * input.value_bytes() &&
                          input.pixel_bytes == source.place().pixel_bytes &&
                          input.image_bytes == source.place().image_bytes;
    if (!in_place) copies.push_back(copy_step(source, i, 1, channel, 0, 0));
    channel += input.channels;
  }
  return {.kernel = copies.empty() ? "in place" : "copy", .run = [copies](const RunContext& context) {
            for (const Step& copy : copies) copy.run(context);
          }};
}

Step clamp_step(const StepSource& source) {
  const Place input = source.input_place();
  const Place output = source.place();
  const int64_t low = source.self().low;
  const int64_t high = source.self().high;
  return {.kernel = "channels side by side", .run = [=](const RunContext& context) {
            for_rows(context, output, [&](int64_t image, int64_t row) {
              for (int64_t column = 0; column < output.width; ++column) {
                dispatch_stored(output.type, [&](auto zero) {
                  using Value = decltype(zero);
                  const auto* x = reinterpret_cast<const Value*>(pixel(context, input, image, row, column));
                  auto* y = reinterpret_cast<Value*>(pixel(context, output, image, row, column));
                  for (int64_t c = 0; c < output.channels; ++c) {
                    y[c] = static_cast<Value>(saturate(x[c], low, high));
                  }
                });
              }
            });
          }};
}

/// Nothing where the values stand one after the other already.
Step flatten_step(const StepSource& source) {
  const Place input = source.input_place();
  const Place output = source.place();
  if (input.offset == output.offset) return {.kernel = "in place", .run = [](const RunContext&) {}};
  const auto bytes = static_cast<size_t>(input.channels * input.value_bytes());
  return {.kernel = "copy", .run = [=](const RunContext& context) {
            for_rows(context, input, [&](int64_t image, int64_t row) {
              for (int64_t column = 0; column < input.width; ++column) {
                uint8_t* y = output.image(context.arena, image) +
                             (row * input.width + column) * static_cast<int64_t>(bytes);
                std::memcpy(y, pixel(context, input, image, row, column), bytes);
              }
            });
          }};
}

}  // namespace

Stored stored_type(DType type) {
  switch (type) {
    case DType::kU8: return Stored::kU8;
    case DType::kI8: return Stored::kI8;
    case DType::kI16: return Stored::kI16;
    default: return Stored::kI32;
  }
}

Step make_row_step(const StepSource& source) {
  const Node& node = source.self();
  switch (node.kind) {
    case NodeKind::kInput: return input_step(source);
    case NodeKind::kScale: return scale_step(source);
    case NodeKind::kAvgPool2d: return avg_pool_step(source);
    case NodeKind::kMaxPool2d: return max_pool_step(source);
    case NodeKind::kAdd: return add_step(source);
    case NodeKind::kSubsample2d: return copy_step(source, 0, node.stride, 0, 0, 0);
    case NodeKind::kPadChannels: return copy_step(source, 0, 1, 0, node.padding.before, node.padding.after);
    case NodeKind::kConcat: return concat_step(source);
    case NodeKind::kClamp: return clamp_step(source);
    case NodeKind::kFlatten: return flatten_step(source);
    case NodeKind::kConv2d:
    case NodeKind::kLinear: break;
  }
  fail("[cpu_net] {} has filters", name_of(node.kind));
}

}  // namespace ds::infer
