#include "infer/cpu/cpu_net.h"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "core/buffer.h"
#include "core/error.h"
#include "infer/arena.h"
#include "infer/cpu/step.h"
#include "infer/window.h"

namespace ds::infer {
namespace {

constexpr int kNone = -1;

/// Which values share memory, and when each block is needed.
class Placement {
 public:
  Placement(const IntegerNet& net, const CpuNetOptions& options)
      : nodes_(net.nodes()), batch_(options.batch), places_(nodes_.size()), last_use_(net.last_uses()) {
    join();
    for (size_t i = 0; i < nodes_.size(); ++i) places_[i] = own_place(nodes_[i]);
    add_blocks();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const Interval& sums = net.bounds()[i].accumulator;
      int64_t bytes = 0;
      if (nodes_[i].filtered() && !is_depthwise(nodes_[i])) {
        bytes = filter_scratch_bytes(nodes_[i], nodes_[at(nodes_[i].inputs[0])], sums, options.shifts_only);
      }
      scratch_.push_back(bytes == 0 ? kNone
                                    : arena_.add(bytes * batch_, static_cast<int>(i), static_cast<int>(i)));
    }
    arena_.place();
    for (size_t i = 0; i < nodes_.size(); ++i) resolve(static_cast<int>(i));
  }

  const std::vector<Place>& places() const { return places_; }
  int64_t scratch(size_t node) const { return scratch_[node] == kNone ? 0 : arena_.offset(scratch_[node]); }
  int64_t bytes() const { return arena_.bytes(); }

 private:
  static size_t at(int node) { return static_cast<size_t>(node); }

  static Place own_place(const Node& node) {
    const auto [height, width] = image_size(node);
    Place place{.type = node.format.type, .height = height, .width = width, .channels = node.shape[-1]};
    place.pixel_bytes = place.channels * place.value_bytes();
    place.image_bytes = place.height * place.row_bytes();
    return place;
  }

  /// A value may stand within the concatenation that takes it (once), under the flattened value's name, or
  /// where the shortcut stood that is added to it and not needed any more.
  void join() {
    within_.resize(nodes_.size(), kNone);
    channel_.resize(nodes_.size(), 0);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const Node& node = nodes_[i];
      if (node.kind == NodeKind::kFlatten) {
        const int input = node.inputs[0];
        if (within_[at(input)] == kNone) within_[i] = input;
      }
      if (replaces_shortcut(i)) within_[i] = node.shortcut;
      if (node.kind != NodeKind::kConcat || node.shape.rank() != 3) continue;
      int64_t channel = 0;
      for (const int input : node.inputs) {
        const bool free = within_[at(input)] == kNone && nodes_[at(input)].kind != NodeKind::kFlatten &&
                          std::ranges::count(node.inputs, input) == 1 && !is_flattened(input);
        if (free) {
          within_[at(input)] = static_cast<int>(i);
          channel_[at(input)] = channel;
        }
        channel += nodes_[at(input)].shape[-1];
      }
    }
  }

  /// Each value is computed from the shortcut's at its own place alone. What a concatenation holds must stay.
  bool replaces_shortcut(size_t i) const {
    const Node& node = nodes_[i];
    if (node.shortcut < 0 || last_use_[at(node.shortcut)] != static_cast<int>(i)) return false;
    const Node& shortcut = nodes_[at(node.shortcut)];
    const auto stands_there = [&](int input) { return root(input) == root(node.shortcut); };
    // A flattened value, and what was flattened, have another name each, under which they may be read later.
    return shortcut.format.type == node.format.type && shortcut.kind != NodeKind::kFlatten &&
           !is_flattened(node.shortcut) && nodes_[at(root(node.shortcut))].kind != NodeKind::kConcat &&
           std::ranges::none_of(node.inputs, stands_there);
  }

  bool is_flattened(int value) const {
    return std::ranges::any_of(
        nodes_, [&](const Node& node) { return node.kind == NodeKind::kFlatten && node.inputs[0] == value; });
  }

  int root(int value) const {
    while (within_[at(value)] != kNone) value = within_[at(value)];
    return value;
  }

  void add_blocks() {
    std::vector<int> first(nodes_.size(), static_cast<int>(nodes_.size()));
    std::vector<int> last(nodes_.size(), 0);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const size_t owner = at(root(static_cast<int>(i)));
      first[owner] = std::min(first[owner], static_cast<int>(i));
      last[owner] = std::max(last[owner], last_use_[i]);
    }
    blocks_.resize(nodes_.size(), kNone);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (within_[i] == kNone) blocks_[i] = arena_.add(places_[i].image_bytes * batch_, first[i], last[i]);
    }
  }

  void resolve(int value) {
    Place& place = places_[at(value)];
    const int owner = root(value);
    place.offset = arena_.offset(blocks_[at(owner)]);
    if (nodes_[at(value)].kind == NodeKind::kFlatten || owner == value) return;
    int64_t channel = 0;
    for (int inner = value; within_[at(inner)] != kNone; inner = within_[at(inner)])
      channel += channel_[at(inner)];
    place.offset += channel * place.value_bytes();
    place.pixel_bytes = nodes_[at(owner)].shape[-1] * place.value_bytes();
    place.image_bytes = place.height * place.row_bytes();
  }

  const std::vector<Node>& nodes_;
  int64_t batch_;
  std::vector<Place> places_;
  std::vector<int> last_use_;
  std::vector<int> within_;       // the node whose value holds this one, or kNone
  std::vector<int64_t> channel_;  // and from which of its channels on
  std::vector<int> blocks_;
  std::vector<int> scratch_;
  ArenaPlanner arena_;
};

/// How many taps of all windows along an axis meet the image.
int64_t count_taps(const std::vector<TapRange>& windows) {
  int64_t count = 0;
  for (const TapRange& taps : windows) count += taps.end - taps.begin;
  return count;
}

int64_t operations_of(const IntegerNet& net, const Node& node) {
  if (!node.filtered()) return 0;
  const Shape& w = node.filters.shape;
  const Window window = window_of(node);
  const Size2d output = image_size(node);
  const Size2d input = image_size(net.nodes()[static_cast<size_t>(node.inputs[0])]);
  return 2 * w[0] * w[-1] * count_taps(row_taps(window, output.height, input.height)) *
         count_taps(column_taps(window, output.width, input.width));
}

}  // namespace

class CpuNet::Plan {
 public:
  Plan(const IntegerNet& net, const CpuNetOptions& options) : net_(net), batch_(options.batch) {
    DS_CHECK(batch_ >= 1, "[cpu_net] batch is {}, expected at least 1", batch_);
    const Placement placement(net_, options);
    arena_bytes_ = placement.bytes();
    const IntegerKernels& kernels = options.kernels != nullptr ? *options.kernels : integer_kernels();
    for (size_t i = 0; i < net_.nodes().size(); ++i) {
      const StepSource source{.net = net_,
                              .node = static_cast<int>(i),
                              .places = placement.places(),
                              .kernels = kernels,
                              .shifts_only = options.shifts_only,
                              .scratch = placement.scratch(i)};
      steps_.push_back(make_step(source));
    }
    result_ = placement.places().back();
  }

  const IntegerNet& net() const { return net_; }
  int64_t arena_bytes() const { return arena_bytes_; }
  const std::vector<Step>& steps() const { return steps_; }

  /// Calls after(step) between steps.
  template <class After>
  void run(const uint8_t* pixels, int64_t images, int32_t* results, After&& after) const {
    const Lease arena(*this);
    const int64_t outputs = net_.result().shape.numel();
    for (int64_t first = 0; first < images; first += batch_) {
      const RunContext context{.arena = arena.data(),
                               .pixels = pixels + first * net_.input().numel(),
                               .images = std::min(batch_, images - first)};
      for (size_t i = 0; i < steps_.size(); ++i) {
        steps_[i].run(context);
        after(i);
      }
      for (int64_t n = 0; n < context.images; ++n) copy_result(context, n, results + (first + n) * outputs);
    }
  }

 private:
  static Step make_step(const StepSource& source) {
    if (!source.self().filtered()) return make_row_step(source);
    return is_depthwise(source.self()) ? make_depthwise_step(source) : make_filter_step(source);
  }

  /// An arena for as long as it lives: one that is free, or a new one.
  class Lease {
   public:
    explicit Lease(const Plan& plan) : plan_(plan) {
      const std::lock_guard lock(plan.arenas_mutex_);
      plan.free_arenas_.reserve(plan.free_arenas_.size() +
                                ++plan.leased_);  // so that giving back cannot fail
      if (plan.free_arenas_.empty()) {
        arena_ = std::make_unique<Tensor>(Tensor::zeros({plan.arena_bytes_}, DType::kU8));
      } else {
        arena_ = std::move(plan.free_arenas_.back());
        plan.free_arenas_.pop_back();
      }
    }
    ~Lease() {
      const std::lock_guard lock(plan_.arenas_mutex_);
      plan_.free_arenas_.push_back(std::move(arena_));
      --plan_.leased_;
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    uint8_t* data() const { return arena_->data<uint8_t>(); }

   private:
    const Plan& plan_;
    std::unique_ptr<Tensor> arena_;
  };

  /// The result's integers, whatever their type.
  void copy_result(const RunContext& context, int64_t image, int32_t* results) const {
    widen(result_.type, result_.image(context.arena, image), net_.result().shape.numel(), results);
  }

  IntegerNet net_;
  int64_t batch_;
  int64_t arena_bytes_ = 0;
  std::vector<Step> steps_;
  Place result_;
  mutable std::mutex arenas_mutex_;
  mutable std::vector<std::unique_ptr<Tensor>> free_arenas_;
  mutable size_t leased_ = 0;
};

CpuNet::CpuNet(const IntegerNet& net, const CpuNetOptions& options)
    : plan_(std::make_unique<const Plan>(net, options)) {}
CpuNet::~CpuNet() = default;

void CpuNet::run(const uint8_t* pixels, int64_t images, int32_t* results) const {
  plan_->run(pixels, images, results, [](size_t) {});
}

Tensor CpuNet::operator()(const Tensor& images) const {
  Tensor y = net().results_for(images);
  run(images.data<uint8_t>(), images.size(0), y.data<int32_t>());
  return y;
}

const IntegerNet& CpuNet::net() const { return plan_->net(); }
int64_t CpuNet::arena_bytes() const { return plan_->arena_bytes(); }

int64_t CpuNet::weight_bytes() const {
  int64_t total = 0;
  for (const Step& step : plan_->steps()) total += step.weight_bytes;
  return total;
}

std::vector<CpuStepInfo> CpuNet::steps() const {
  std::vector<CpuStepInfo> infos;
  for (size_t i = 0; i < plan_->steps().size(); ++i) {
    const Node& node = net().nodes()[i];
    const Step& step = plan_->steps()[i];
    infos.push_back({.place = node.place,
                     .kind = std::string(name_of(node.kind)),
                     .kernel = step.kernel,
                     .weight_bytes = step.weight_bytes,
                     .operations = operations_of(net(), node)});
  }
  return infos;
}

std::vector<double> CpuNet::time_steps(const uint8_t* pixels, int64_t images) const {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds(plan_->steps().size(), 0.0);
  std::vector<int32_t> results(static_cast<size_t>(images * net().result().shape.numel()));
  Clock::time_point last = Clock::now();
  plan_->run(pixels, images, results.data(), [&](size_t step) {
    const Clock::time_point now = Clock::now();
    seconds[step] += std::chrono::duration<double>(now - last).count();
    last = now;
  });
  return seconds;
}

}  // namespace ds::infer
