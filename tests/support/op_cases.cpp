#include "tests/support/op_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>

namespace ds::test {

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> cases;
    for (const auto& family : {elementwise_cases, reduction_cases, convolution_cases, pooling_cases,
                               normalisation_cases, rounding_cases, optimizer_cases}) {
      std::vector<OpCase> rows = family();
      std::move(rows.begin(), rows.end(), std::back_inserter(cases));
    }
    return cases;
  }();
  return all;
}

std::vector<std::string> op_names() {
  return {
#define DS_OP(name, arguments, cuda) #name,
#include "core/ops.def"
#undef DS_OP
  };
}

std::vector<Tensor> draw_inputs(const OpCase& op_case, DType dtype) {
  Generator generator(7);
  std::vector<Tensor> tensors;
  for (const OpInput& input : op_case.inputs) {
    const Values drawn = input.draw(input.shape.numel(), generator);
    Tensor tensor = Tensor::empty(input.shape, input.fixed_type == DType::kF32 ? dtype : input.fixed_type);
    dispatch_any(tensor.dtype(), [&](auto zero) {
      using T = decltype(zero);
      for (size_t i = 0; i < drawn.size(); ++i) {
        if constexpr (std::is_same_v<T, Bf16>) {
          tensor.data<T>()[i] = Bf16(static_cast<float>(drawn[i]));
        } else {
          tensor.data<T>()[i] = static_cast<T>(static_cast<float>(drawn[i]));
        }
      }
    });
    tensors.push_back(tensor);
  }
  return tensors;
}

Values values_of(const Tensor& tensor) {
  Values values;
  dispatch_any(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (const T value : tensor.to_vector<T>()) {
      if constexpr (std::is_same_v<T, Bf16>) {
        values.push_back(static_cast<double>(static_cast<float>(value)));
      } else {
        values.push_back(static_cast<double>(value));
      }
    }
  });
  return values;
}

namespace {

void expect_close(const Values& found, const Values& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  double scale = 1.0;
  for (const double value : expected) {
    if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(found[i])) continue;
    if (found[i] == expected[i]) continue;
    ASSERT_TRUE(std::abs(found[i] - expected[i]) <= tolerance * scale)
        << "element " << i << " is " << found[i] << ", expected " << expected[i];
  }
}

}  // namespace

void check_op_case(const OpCase& op_case, DType dtype, Device device, double tolerance) {
  std::vector<Tensor> inputs = draw_inputs(op_case, dtype);
  std::vector<Values> values;
  for (Tensor& input : inputs) {
    values.push_back(values_of(input));
    input = input.to(device);
  }
  const std::vector<Tensor> outputs = op_case.run(inputs);
  const std::vector<Values> expected = op_case.expected(values);
  ASSERT_EQ(outputs.size(), expected.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    SCOPED_TRACE(fmt::format("[{}] {}, {} on {}, output {}", op_case.op, op_case.variant, name_of(dtype),
                             device.str(), i));
    expect_close(values_of(outputs[i]), expected[i], tolerance);
  }
}

std::string op_case_name(const testing::TestParamInfo<size_t>& info) {
  std::string name =
      fmt::format("{}_{}_{}", info.index, op_cases()[info.param].op, op_cases()[info.param].variant);
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return name;
}

std::function<Values(int64_t, Generator&)> normal(double mean, double deviation) {
  return [=](int64_t count, Generator& generator) {
    Values values;
    for (int64_t i = 0; i < count; ++i) values.push_back(mean + deviation * generator.normal());
    return values;
  };
}

std::function<Values(int64_t, Generator&)> uniform(double low, double high) {
  return [=](int64_t count, Generator& generator) {
    Values values;
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(low + (high - low) * static_cast<double>(generator.uniform()));
    }
    return values;
  };
}

std::function<Values(int64_t, Generator&)> integers(uint32_t bound) {
  return [=](int64_t count, Generator& generator) {
    Values values;
    for (int64_t i = 0; i < count; ++i) values.push_back(generator.below(bound));
    return values;
  };
}

std::function<Values(int64_t, Generator&)> listed(Values values) {
  return [values = std::move(values)](int64_t count, Generator&) {
    Values repeated;
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) repeated.push_back(values[i % values.size()]);
    return repeated;
  };
}

std::function<Values(int64_t, Generator&)> distributions(int64_t classes) {
  return [=](int64_t count, Generator& generator) {
    Values values = uniform(0.0, 1.0)(count, generator);
    for (int64_t row = 0; row < count / classes; ++row) {
      double sum = 0.0;
      for (int64_t c = 0; c < classes; ++c) sum += values[static_cast<size_t>(row * classes + c)];
      for (int64_t c = 0; c < classes; ++c) values[static_cast<size_t>(row * classes + c)] /= sum;
    }
    return values;
  };
}

}  // namespace ds::test
