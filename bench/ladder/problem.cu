#include "bench/ladder/problem.h"

#include "bench/layers.h"
#include "core/random.h"

namespace ds::bench::ladder {
namespace {

/// Drawn a million at a time, which is enough; a prime number of them, so that no two filters are the same.
template <class Draw>
std::vector<uint8_t> drawn(size_t count, uint64_t seed, const Draw& draw) {
  constexpr size_t kDrawn = 1048573;
  Generator generator(seed);
  std::vector<uint8_t> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = i < kDrawn ? draw(generator) : values[i - kDrawn];
  return values;
}

Problem problem_of(const Layer& layer, int batch) {
  const auto as_int = [](int64_t value) { return static_cast<int>(value); };
  const auto stride = as_int(layer.options.stride.height);
  const auto padding = as_int(layer.options.padding.height);
  const auto kernel = as_int(layer.kernel);
  const auto out_size = [&](int64_t size) { return (as_int(size) + 2 * padding - kernel) / stride + 1; };
  Problem problem{.name = layer.name,
                  .geometry = {.images = batch,
                               .in_height = as_int(layer.height),
                               .in_width = as_int(layer.width),
                               .channels = as_int(layer.channels),
                               .out_height = out_size(layer.height),
                               .out_width = out_size(layer.width),
                               .kernel_height = kernel,
                               .kernel_width = kernel,
                               .stride_height = stride,
                               .stride_width = stride,
                               .padding_height = padding,
                               .padding_width = padding},
                  .outputs = as_int(layer.outputs),
                  .layers = as_int(layer.layers)};
  const auto pixels = static_cast<size_t>(batch) * static_cast<size_t>(layer.height * layer.width);
  problem.values = drawn(pixels * static_cast<size_t>(layer.channels), 1,
                         [](Generator& g) { return static_cast<uint8_t>(g.below(256)); });
  problem.codes =
      drawn(static_cast<size_t>(problem.outputs) * static_cast<size_t>(problem.geometry.depth()), 2,
            [](Generator& g) {
              const uint32_t code = g.below(15);
              return static_cast<uint8_t>(code < 8 ? code : code + 1);  // 8, a negative zero, is not used
            });
  return problem;
}

}  // namespace

ShiftAndSign shift_and_sign(uint8_t code) {
  const int magnitude = code & 7;
  if (magnitude == 0) return {};
  return {.shift = magnitude - 1, .sign = code < 8 ? 1 : -1};
}

int32_t weight_of(uint8_t code) {
  const ShiftAndSign weight = shift_and_sign(code);
  return weight.sign * (1 << weight.shift);
}

std::vector<Problem> resnet18(int batch) {
  std::filesystem::path folder = DEEPSHIFT_BENCH_SHAPES;
  if (!std::filesystem::exists(folder)) folder = "bench/shapes";  // built on another machine
  std::vector<Problem> problems;
  for (const Layer& layer : read_layers(folder / "resnet18.txt")) {
    problems.push_back(problem_of(layer, batch));
  }
  for (const Layer& layer : read_layers(folder / "linear.txt")) {
    if (layer.name == "resnet18_fc") problems.push_back(problem_of(layer, batch));
  }
  DS_CHECK(!problems.empty(), "[ladder] {} has no layers: start in the root of the repository",
           folder.string());
  return problems;
}

std::vector<Problem> small_problems() {
  const auto layer = [](const char* name, int64_t height, int64_t width, int64_t channels, int64_t outputs,
                        int64_t kernel, int64_t stride, int64_t padding) {
    Layer result{.name = name,
                 .height = height,
                 .width = width,
                 .channels = channels,
                 .outputs = outputs,
                 .kernel = kernel,
                 .layers = 1};
    result.options.stride = stride;
    result.options.padding = padding;
    return result;
  };
  return {problem_of(layer("small_stem", 23, 18, 3, 72, 7, 2, 3), 2),
          problem_of(layer("small_same", 9, 11, 24, 40, 3, 1, 1), 3),
          problem_of(layer("small_stride", 10, 7, 64, 136, 3, 2, 1), 1),
          problem_of(layer("small_shortcut", 9, 9, 20, 8, 1, 2, 0), 2),
          problem_of(layer("small_linear", 1, 1, 96, 200, 1, 1, 0), 5),
          problem_of(layer("small_deep", 3, 3, 512, 64, 3, 1, 1), 1)};
}

Problem with_whole_channels(const Problem& problem, int multiple) {
  const auto channels = static_cast<size_t>(problem.geometry.channels);
  const auto factor = static_cast<size_t>(multiple);
  const size_t filled = (channels + factor - 1) / factor * factor;
  const auto fill = [&](const std::vector<uint8_t>& source) {
    std::vector<uint8_t> result(source.size() / channels * filled);
    for (size_t i = 0; i < source.size(); ++i) result[i / channels * filled + i % channels] = source[i];
    return result;
  };
  Problem result{.name = problem.name,
                 .geometry = problem.geometry,
                 .outputs = problem.outputs,
                 .values = fill(problem.values),
                 .codes = fill(problem.codes),
                 .layers = problem.layers};
  result.geometry.channels = static_cast<int>(filled);
  return result;
}

std::vector<int32_t> plain_sums(const Problem& problem) {
  const infer::cuda::FilterGeometry& g = problem.geometry;
  std::vector<int32_t> sums;
  const auto value_at = [&](const infer::cuda::WindowOrigin& window, int tap, int channel) {
    const int y = window.y + tap / g.kernel_width;
    const int x = window.x + tap % g.kernel_width;
    if (y < 0 || y >= g.in_height || x < 0 || x >= g.in_width) return 0;
    const int pixel = window.image + y * g.in_width + x;
    return int{problem.values[static_cast<size_t>(pixel * g.channels + channel)]};
  };
  for (int row = 0; row < g.rows(); ++row) {
    const infer::cuda::WindowOrigin window = infer::cuda::window_origin(g, row);
    for (int output = 0; output < problem.outputs; ++output) {
      const uint8_t* codes = problem.codes.data() + static_cast<ptrdiff_t>(output) * g.depth();
      int32_t sum = 0;
      for (int d = 0; d < g.depth(); ++d) {
        sum += weight_of(codes[d]) * value_at(window, d / g.channels, d % g.channels);
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

}  // namespace ds::bench::ladder
