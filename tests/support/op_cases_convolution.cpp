#include "core/backend.h"
#include "tests/support/op_cases.h"

namespace ds::test {
namespace {

OpCase gemm_case(const std::string& variant, int64_t rows, int64_t inner, int64_t columns,
                 const GemmOptions& options) {
  const Shape a = options.transpose_a ? Shape{inner, rows} : Shape{rows, inner};
  const Shape b = options.transpose_b ? Shape{columns, inner} : Shape{inner, columns};
  return {.op = "gemm",
          .variant = variant,
          .inputs = {{a, normal()}, {b, normal()}},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::gemm(in[0], in[1], options)}; },
          .expected =
              [=](const std::vector<Values>& in) {
                Values y(static_cast<size_t>(rows * columns));
                for (int64_t m = 0; m < rows; ++m) {
                  for (int64_t n = 0; n < columns; ++n) {
                    double sum = 0.0;
                    for (int64_t k = 0; k < inner; ++k) {
                      sum +=
                          in[0][static_cast<size_t>(options.transpose_a ? k * rows + m : m * inner + k)] *
                          in[1][static_cast<size_t>(options.transpose_b ? n * inner + k : k * columns + n)];
                    }
                    y[static_cast<size_t>(m * columns + n)] = options.alpha * sum;
                  }
                }
                return std::vector<Values>{y};
              }};
}

/// A convolution: its sizes, and every product x * w that output element y has a part in.
struct Convolution {
  Shape x;
  Shape w;
  Conv2dOptions options;

  Shape y() const { return ops::conv2d_shape(x, w, options); }

  /// Calls body(offset in x, offset in w, offset in y) for each product.
  template <class Body>
  void for_each_product(Body&& body) const {
    const Shape out = y();
    const int64_t outputs_per_group = w[0] / options.groups;
    for (int64_t i = 0; i < out.numel(); ++i) {
      const int64_t o = i % out[3];
      const int64_t ox = i / out[3] % out[2];
      const int64_t oy = i / out[3] / out[2] % out[1];
      const int64_t n = i / out[3] / out[2] / out[1];
      for (int64_t tap = 0; tap < w[1] * w[2] * w[3]; ++tap) {
        const int64_t c = tap % w[3];
        const int64_t iy =
            oy * options.stride.height + tap / w[3] / w[2] * options.dilation.height - options.padding.height;
        const int64_t ix =
            ox * options.stride.width + tap / w[3] % w[2] * options.dilation.width - options.padding.width;
        if (iy < 0 || iy >= x[1] || ix < 0 || ix >= x[2]) continue;
        const int64_t channel = o / outputs_per_group * w[3] + c;
        body(static_cast<size_t>(((n * x[1] + iy) * x[2] + ix) * x[3] + channel),
             static_cast<size_t>(o * w[1] * w[2] * w[3] + tap), static_cast<size_t>(i));
      }
    }
  }
};

OpCase forward_case(const std::string& variant, const Convolution& conv, bool with_bias) {
  OpCase row{.op = "conv2d", .variant = variant, .inputs = {{conv.x, normal()}, {conv.w, normal()}}};
  if (with_bias) row.inputs.push_back({{conv.w[0]}, normal()});
  row.run = [=](std::vector<Tensor>& in) {
    return std::vector{ops::conv2d(in[0], in[1], with_bias ? in[2] : Tensor(), conv.options)};
  };
  row.expected = [=](const std::vector<Values>& in) {
    Values y(static_cast<size_t>(conv.y().numel()));
    if (with_bias) y = listed(in[2])(conv.y().numel(), default_generator());
    conv.for_each_product([&](size_t x, size_t w, size_t out) { y[out] += in[0][x] * in[1][w]; });
    return std::vector<Values>{y};
  };
  return row;
}

OpCase backward_data_case(const std::string& variant, const Convolution& conv) {
  return {.op = "conv2d_backward_data",
          .variant = variant,
          .inputs = {{conv.y(), normal()}, {conv.w, normal()}},
          .run =
              [=](std::vector<Tensor>& in) {
                return std::vector{ops::conv2d_backward_data(in[0], in[1], conv.x, conv.options)};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                Values dx(static_cast<size_t>(conv.x.numel()));
                conv.for_each_product([&](size_t x, size_t w, size_t y) { dx[x] += in[0][y] * in[1][w]; });
                return std::vector<Values>{dx};
              }};
}

OpCase backward_weight_case(const std::string& variant, const Convolution& conv) {
  return {.op = "conv2d_backward_weight",
          .variant = variant,
          .inputs = {{conv.y(), normal()}, {conv.x, normal()}},
          .run =
              [=](std::vector<Tensor>& in) {
                return std::vector{ops::conv2d_backward_weight(in[0], in[1], conv.w, conv.options)};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                Values dw(static_cast<size_t>(conv.w.numel()));
                conv.for_each_product([&](size_t x, size_t w, size_t y) { dw[w] += in[0][y] * in[1][x]; });
                return std::vector<Values>{dw};
              }};
}

}  // namespace

std::vector<OpCase> convolution_cases() {
  std::vector<OpCase> cases;
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      const std::string variant =
          std::string(transpose_a ? "a transposed" : "a") + (transpose_b ? ", b transposed" : ", b");
      cases.push_back(gemm_case(variant, 7, 33, 5, {.transpose_a = transpose_a, .transpose_b = transpose_b}));
    }
  }
  cases.push_back(gemm_case("alpha", 65, 17, 130, {.alpha = 0.5}));
  cases.push_back(gemm_case("no rows", 0, 4, 3, {}));
  cases.push_back(gemm_case("nothing to sum", 3, 0, 4, {}));

  const std::vector<std::pair<std::string, Convolution>> convolutions = {
      {"3x3", {{2, 8, 7, 16}, {16, 3, 3, 16}, {.padding = 1}}},
      {"image", {{2, 9, 9, 3}, {16, 3, 3, 3}, {.padding = 1}}},
      {"1x1", {{3, 5, 6, 8}, {12, 1, 1, 8}, {}}},
      {"stride 2", {{2, 9, 8, 5}, {6, 3, 3, 5}, {.stride = 2, .padding = 1}}},
      {"1x1 stride 2", {{2, 9, 8, 5}, {6, 1, 1, 5}, {.stride = 2}}},
      {"dilated", {{1, 11, 10, 4}, {3, 3, 3, 4}, {.padding = 2, .dilation = 2}}},
      {"groups", {{2, 6, 6, 12}, {9, 3, 3, 4}, {.padding = 1, .groups = 3}}},
      {"depthwise", {{2, 7, 7, 10}, {10, 3, 3, 1}, {.stride = 2, .padding = 1, .groups = 10}}},
      {"uneven", {{1, 7, 12, 3}, {4, 2, 5, 3}, {.stride = {1, 3}, .padding = {0, 2}, .dilation = {3, 1}}}},
      {"larger than the input", {{1, 2, 2, 3}, {4, 5, 5, 3}, {.padding = 2}}},
      {"no images", {{0, 5, 5, 3}, {4, 3, 3, 3}, {.padding = 1}}}};
  for (const auto& [variant, convolution] : convolutions) {
    cases.push_back(forward_case(variant, convolution, false));
    cases.push_back(forward_case(variant + ", bias", convolution, true));
    cases.push_back(backward_data_case(variant, convolution));
    cases.push_back(backward_weight_case(variant, convolution));
  }
  return cases;
}

}  // namespace ds::test
