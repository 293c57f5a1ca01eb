// Which algorithm computes a convolution, and why: decided once for each shape and kept.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

enum class Conv2dPass : uint8_t { kForward, kBackwardData, kBackwardWeight };
enum class Conv2dAlgorithm : uint8_t {
  kReference,
  kOpenBlas,
  kDepthwiseLoops,
  kDepthwise,
  kDirect,
  kWinograd
};

/// Side of Winograd's tiles of outputs.
enum class WinogradSide : uint8_t { k2 = 2, k4 = 4 };

std::string_view name_of(Conv2dPass pass);
std::string_view name_of(Conv2dAlgorithm algorithm);

/// What the choice depends on, beside the engine.
struct Conv2dProblem {
  Conv2dPass pass = Conv2dPass::kForward;
  DType dtype = DType::kF32;
  Shape x;
  Shape w;
  Shape y;
  Conv2dOptions options;
  bool keeps_filters = false;  // made ready once, for many calls

  /// "forward x [128, 32, 32, 16], w [16, 3, 3, 16], stride 1 1, padding 1 1, dilation 1 1, groups 1".
  std::string str() const;
};

struct Conv2dPlan {
  Conv2dAlgorithm algorithm = Conv2dAlgorithm::kReference;
  std::string reason;                     // in words
  Precision precision = Precision::kF32;  // of the products
  WinogradSide side = WinogradSide::k4;   // of the tiles, where the algorithm is Winograd
};

/// The plan of the engine in use. The reference stays until the program ends.
const Conv2dPlan& plan_conv2d(const Conv2dProblem& problem);

/// A forward pass by the given plan.
void conv2d(const Conv2dPlan& plan, const Tensor& x, const Tensor& w, const Tensor& bias,
            const Conv2dOptions& options, Tensor& y);

/// Every plan made so far, a line each: problem, algorithm, reason.
std::vector<std::string> conv2d_plans();

}  // namespace ds::cpu
