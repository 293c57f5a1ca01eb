// An integer net: a trained network as shifts and additions of integers. docs/integer-net.md defines its
// arithmetic to the bit; infer/reference.h is that text as code, and every executor gives the same integers.
//
//   value = q 2^-F        q an integer of its format's type, F its fraction bits; one format a tensor
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/functions.h"
#include "core/dtype.h"
#include "core/op_options.h"
#include "core/shape.h"
#include "core/shift/codes.h"
#include "core/tensor.h"

namespace ds::infer {

/// What the integers of a tensor stand for.
struct Format {
  DType type = DType::kU8;  // u8 after ReLU, i8 or i16 otherwise, i32 for the results of a net
  int fraction_bits = 0;    // F; may be negative

  int64_t lowest() const;
  int64_t highest() const;
  /// "u8 F5".
  std::string str() const;
  bool operator==(const Format&) const = default;
};

enum class NodeKind : uint8_t {
  kInput,        // u8 pixels, rescaled: holds the normalisation
  kConv2d,       // with filters, rescaled
  kLinear,       // with filters, rescaled
  kScale,        // a batch norm on its own: a = x, rescaled
  kAvgPool2d,    // a = the sum of the window, rescaled
  kAdd,          // of two stored tensors
  kMaxPool2d,    // padding never wins
  kSubsample2d,  // every stride-th row and column
  kPadChannels,  // channels of zeros before and after
  kConcat,       // along the channels
  kClamp,        // min(max(x, low), high)
  kFlatten,      // H,W,C to one axis: nothing moves
};

std::string_view name_of(NodeKind kind);
/// Throws Error for any other text.
NodeKind parse_node_kind(std::string_view text);

/// From a sum a to a stored value, one multiplier, addend and shift an output channel:
///
///   y = sat((a' m + b + (shortcut << j) + half(k)) >> k),   a' = (a + half(r)) >> r,   j = k + F_y -
///   F_shortcut
///
/// with half(n) = 2^(n-1), or 0 for n = 0, and sat the clamp to the node's low and high.
struct Rescale {
  int pre_shift = 0;                     // r
  std::vector<int32_t> multiplier = {};  // m: D shifts and D - 1 additions, D its signed binary digits
  std::vector<int64_t> addend = {};      // b
  std::vector<int32_t> shift = {};       // k
};

/// Filters as packed codes (core/shift/codes.h). A weight counts 2^-p_min times its value, an integer.
struct Filters {
  ShiftFormat format = {};
  Shape shape = {0};  // O,kh,kw,I/groups, or O,I
  std::vector<uint8_t> codes = {};

  /// The terms s 2^(p - p_min) of the weights, first ones and second ones, in the order of the shape.
  std::vector<std::vector<int32_t>> terms() const;
  /// The weights, sums of their terms.
  std::vector<int32_t> integers() const;
  /// The largest sum of magnitudes of one filter's integers.
  int64_t largest_sum() const;
};

/// One node; the members that its kind does not have are left as they are.
struct Node {
  NodeKind kind = NodeKind::kInput;
  std::string place = {};        // the path of the module it was made from: "layer1.0.conv1"
  std::vector<int> inputs = {};  // nodes before this one
  int shortcut = -1;             // a node that is added before the rounding (conv2d, linear, scale), or -1
  Shape shape = {0};             // of one image: H,W,C or C
  Format format = {};
  int64_t low = 0;  // of its values, within the format: 0 after ReLU
  int64_t high = 0;
  Filters filters = {};
  Rescale rescale = {};
  Conv2dOptions convolution = {};
  Pool2dOptions pool = {};  // a global average is a window of the whole input
  Size2d stride = 1;
  PadChannelsOptions padding = {};

  bool filtered() const { return kind == NodeKind::kConv2d || kind == NodeKind::kLinear; }
  /// Whether it has a Rescale.
  bool rescaled() const {
    return filtered() || kind == NodeKind::kInput || kind == NodeKind::kScale || kind == NodeKind::kAvgPool2d;
  }
};

/// The lowest and highest value of an integer.
struct Interval {
  int64_t low = 0;
  int64_t high = 0;

  /// Bits of a two's complement integer that holds it.
  int bits() const;
};

/// What the actual weights and the ranges of the inputs prove about a rescaled node.
struct NodeBounds {
  Interval accumulator;   // a, and every partial sum of it over whole weights
  Interval intermediate;  // whatever stands before the last shift, each of its partial sums
};

/// Stored values of a type as what every run gives.
void widen(DType type, const void* values, int64_t count, int32_t* results);

class IntegerNet {
 public:
  /// Node 0 is the input, the last node the result. Throws Error naming node and place where shapes, formats
  /// or codes do not fit, or an intermediate could leave 63 bits: a net that exists can be run.
  explicit IntegerNet(std::vector<Node> nodes);

  const std::vector<Node>& nodes() const { return nodes_; }
  /// By node; empty intervals where nothing is summed.
  const std::vector<NodeBounds>& bounds() const { return bounds_; }
  /// H,W,C of the u8 images that it takes.
  const Shape& input() const { return nodes_.front().shape; }
  const Node& result() const { return nodes_.back(); }
  /// By node, the last one that reads its value; for the result, the number of nodes.
  std::vector<int> last_uses() const;
  /// What a run of these images fills: i32 [N] and the result's shape. Throws Error unless they are u8 [N]
  /// and the input's.
  Tensor results_for(const Tensor& images) const;
  /// Bytes of packed codes, multipliers, addends and shifts.
  int64_t bytes() const;
  /// A table, a line a node.
  std::string str() const;

 private:
  std::vector<Node> nodes_;
  std::vector<NodeBounds> bounds_;
};

}  // namespace ds::infer
