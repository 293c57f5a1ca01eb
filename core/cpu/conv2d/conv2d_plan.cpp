#include "core/cpu/conv2d/conv2d_plan.h"

#include <array>
#include <map>
#include <mutex>

#include "core/cpu/kernels/select.h"
#include "core/error.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

/// Winograd needs this many channels on both sides: below, its transforms cost what its products save. Those
/// of a weight gradient write both sides.
constexpr int64_t kWinogradChannels = 16;
constexpr int64_t kWinogradWeightChannels = 32;
/// And this share of its tiles' pixels inside the image: of 9 products a pixel 2.25 are left, or 4 with tiles
/// of 2x2, of which an edge tile wastes some.
constexpr double covered_least(WinogradSide side) { return side == WinogradSide::k4 ? 0.5 : 0.65; }
/// And this many tiles: filters are four times as large when they are transformed, or 1.8 times for tiles of
/// 2x2, and with few tiles it is their way from memory that takes the time.
constexpr int64_t kWinogradTiles = 8;
/// Weight gradients of bf16 gather their inputs a tap at a time, which costs more than it saves with few
/// channels.
constexpr int64_t kBf16WeightChannels = 8;

// Everything that a plan depends on, as numbers.
using Key = std::array<int64_t, 24>;

Key key_of(const Conv2dProblem& p) {
  Key key{};
  size_t at = 0;
  for (const Shape* shape : {&p.x, &p.w, &p.y}) {
    for (const int64_t size : shape->sizes()) key[at++] = size;
  }
  for (const Size2d& pair : {p.options.stride, p.options.padding, p.options.dilation}) {
    key[at++] = pair.height;
    key[at++] = pair.width;
  }
  key[at++] = p.options.groups;
  key[at++] = static_cast<int64_t>(p.pass);
  key[at++] = static_cast<int64_t>(p.dtype);
  key[at++] = static_cast<int64_t>(engine()) * 16 + static_cast<int64_t>(isa());
  key[at++] = static_cast<int64_t>(precision());
  key[at++] = p.keeps_filters ? 1 : 0;
  return key;
}

/// Why Winograd cannot or should not compute it, whatever its tiles, or nothing.
std::string winograd_objection(const Conv2dProblem& p) {
  const Conv2dOptions& o = p.options;
  if (p.w[1] != 3 || p.w[2] != 3) return fmt::format("the filter is {}x{}, not 3x3", p.w[1], p.w[2]);
  if (!(o.stride == Size2d(1)) || !(o.dilation == Size2d(1))) return "stride or dilation is not 1";
  if (o.groups != 1) return fmt::format("{} groups", o.groups);
  if (o.padding.height > 2 || o.padding.width > 2) return "padding is above 2";
  const int64_t least = p.pass == Conv2dPass::kBackwardWeight ? kWinogradWeightChannels : kWinogradChannels;
  if (p.x[3] < least || p.y[3] < least) {
    return fmt::format("{} and {} channels, Winograd pays from {}", p.x[3], p.y[3], least);
  }
  return {};
}

/// Why tiles of this side should not, or nothing.
std::string tiles_objection(const Conv2dProblem& p, WinogradSide winograd_side) {
  const auto side = static_cast<int64_t>(winograd_side);
  const Shape& written = p.pass == Conv2dPass::kBackwardData ? p.x : p.y;
  const auto covered = [&](int64_t size) {
    return static_cast<double>(size) / static_cast<double>(chunk_count(size, side) * side);
  };
  const double share = covered(written[1]) * covered(written[2]);
  if (!(share >= covered_least(winograd_side))) {
    return fmt::format("{:.0f} % of the pixels of {}x{} tiles lie in the image", 100.0 * share, side, side);
  }
  const int64_t count = written[0] * chunk_count(written[1], side) * chunk_count(written[2], side);
  if (count < kWinogradTiles) {
    return fmt::format("{} tiles of {}x{}, Winograd pays from {}", count, side, side, kWinogradTiles);
  }
  return {};
}

/// Products of bf16 are made in pairs: of channels, of which there must be an even number, or of pixels.
Precision precision_of(const Conv2dProblem& p, std::string& reason) {
  if (precision() != Precision::kBf16) return Precision::kF32;
  const int64_t summed = p.pass == Conv2dPass::kBackwardData ? p.w[0] / p.options.groups : p.w[3];
  if (p.pass == Conv2dPass::kBackwardWeight) {
    if (p.w[3] < kBf16WeightChannels) {
      reason += fmt::format("; f32: {} channels, pairs of pixels pay from {}", p.w[3], kBf16WeightChannels);
      return Precision::kF32;
    }
  } else if (summed % 2 != 0) {
    reason += fmt::format("; f32: {} channels make no pairs", summed);
    return Precision::kF32;
  }
  reason += has_bf16_instructions() ? "; bf16" : "; bf16 by f32 arithmetic";
  return Precision::kBf16;
}

Conv2dPlan best_plan(const Conv2dProblem& p) {
  std::string objection = winograd_objection(p);
  if (!objection.empty()) return {.algorithm = Conv2dAlgorithm::kDirect, .reason = objection};
  objection = tiles_objection(p, WinogradSide::k4);
  if (objection.empty()) {
    return {.algorithm = Conv2dAlgorithm::kWinograd,
            .reason = "3x3, stride 1, enough channels: 2.25 products for 9"};
  }
  // Smaller tiles save less: not enough for a transform of the filters at every call.
  if (p.keeps_filters && p.pass == Conv2dPass::kForward && tiles_objection(p, WinogradSide::k2).empty()) {
    return {.algorithm = Conv2dAlgorithm::kWinograd,
            .reason = objection + "; tiles of 2x2: 4 products for 9",
            .side = WinogradSide::k2};
  }
  return {.algorithm = Conv2dAlgorithm::kDirect, .reason = objection};
}

Conv2dPlan native_plan(const Conv2dProblem& p) {
  Conv2dPlan plan = best_plan(p);
  plan.precision = precision_of(p, plan.reason);
  return plan;
}

/// Why the native kernels cannot or should not compute it, or nothing.
std::string native_objection(const Conv2dProblem& p) {
  if (engine() == Engine::kOpenBlas) return "the engine is openblas";
  if (p.dtype != DType::kF32) return fmt::format("native kernels are f32, not {}", name_of(p.dtype));
  return {};
}

Conv2dPlan make_plan(const Conv2dProblem& p) {
  if (engine() == Engine::kReference) {
    return {.algorithm = Conv2dAlgorithm::kReference, .reason = "the engine is reference"};
  }
  const bool depthwise = p.options.groups > 1 && p.options.groups == p.x[3] && p.x[3] == p.y[3];
  const std::string objection = native_objection(p);
  if (!objection.empty()) {
    return {.algorithm = depthwise ? Conv2dAlgorithm::kDepthwiseLoops : Conv2dAlgorithm::kOpenBlas,
            .reason = objection};
  }
  if (depthwise) return {.algorithm = Conv2dAlgorithm::kDepthwise, .reason = "one filter a channel"};
  return native_plan(p);
}

struct Plans {
  struct Entry {
    Conv2dProblem problem;
    Conv2dPlan plan;
  };
  std::mutex mutex;
  std::map<Key, Entry> entries;
};

Plans& plans() {
  static Plans all;
  return all;
}

}  // namespace

std::string_view name_of(Conv2dPass pass) {
  switch (pass) {
    case Conv2dPass::kForward: return "forward";
    case Conv2dPass::kBackwardData: return "backward-data";
    case Conv2dPass::kBackwardWeight: return "backward-weight";
  }
  return "?";
}

std::string_view name_of(Conv2dAlgorithm algorithm) {
  switch (algorithm) {
    case Conv2dAlgorithm::kReference: return "reference";
    case Conv2dAlgorithm::kOpenBlas: return "im2col + gemm";
    case Conv2dAlgorithm::kDepthwiseLoops: return "loops over channels";
    case Conv2dAlgorithm::kDepthwise: return "depthwise";
    case Conv2dAlgorithm::kDirect: return "direct";
    case Conv2dAlgorithm::kWinograd: return "Winograd";
  }
  return "?";
}

std::string Conv2dProblem::str() const {
  const auto& [stride, padding, dilation, groups] = options;
  return fmt::format("{} x {}, w {}, stride {} {}, padding {} {}, dilation {} {}, groups {}{}", name_of(pass),
                     x.str(), w.str(), stride.height, stride.width, padding.height, padding.width,
                     dilation.height, dilation.width, groups, keeps_filters ? ", filters kept" : "");
}

const Conv2dPlan& plan_conv2d(const Conv2dProblem& problem) {
  Plans& all = plans();
  const Key key = key_of(problem);
  const std::lock_guard lock(all.mutex);
  const auto found = all.entries.find(key);
  if (found != all.entries.end()) return found->second.plan;
  return all.entries.emplace(key, Plans::Entry{problem, make_plan(problem)}).first->second.plan;
}

std::vector<std::string> conv2d_plans() {
  Plans& all = plans();
  const std::lock_guard lock(all.mutex);
  std::vector<std::string> lines;
  for (const auto& [key, entry] : all.entries) {
    lines.push_back(
        fmt::format("{}: {}, {}", entry.problem.str(), name_of(entry.plan.algorithm), entry.plan.reason));
  }
  return lines;
}

}  // namespace ds::cpu
