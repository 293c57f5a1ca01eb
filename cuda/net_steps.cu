#include "cuda/net_steps.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <iterator>
#include <limits>

#include "cuda/check.h"
#include "cuda/filter.h"
#include "infer/arena.h"
#include "infer/arithmetic.h"
#include "infer/rescale_width.h"
#include "infer/window.h"

namespace ds::cuda {
namespace {

using infer::Node;
using infer::NodeKind;
using infer::cuda::FilterFragments;
using infer::cuda::FilterGeometry;

/// Sums of bytes stay within 32 bits up to here: 255 * 128 each, and with two bytes two of them.
constexpr int kDeepest = 32768;

int round_up(int64_t value, int granularity) {
  return static_cast<int>((value + granularity - 1) / granularity * granularity);
}

int64_t bytes_of(const DeviceValue& value) {
  return static_cast<int64_t>(value.images) * value.height * value.width * value.stored *
         static_cast<int64_t>(size_of(value.type));
}

/// Where x's pixels are seen through a window.
FilterGeometry geometry_of(const DeviceValue& x, const DeviceValue& y, const infer::Window& window) {
  return {.images = y.images,
          .in_height = x.height,
          .in_width = x.width,
          .channels = x.stored,
          .out_height = y.height,
          .out_width = y.width,
          .kernel_height = static_cast<int>(window.kernel.height),
          .kernel_width = static_cast<int>(window.kernel.width),
          .stride_height = static_cast<int>(window.stride.height),
          .stride_width = static_cast<int>(window.stride.width),
          .padding_height = static_cast<int>(window.padding.height),
          .padding_width = static_cast<int>(window.padding.width),
          .dilation_height = static_cast<int>(window.dilation.height),
          .dilation_width = static_cast<int>(window.dilation.width)};
}

FilterGeometry pool_geometry(const DeviceValue& x, const DeviceValue& y, const Pool2dOptions& pool) {
  return geometry_of(x, y, {.kernel = pool.kernel, .stride = pool.stride, .padding = pool.padding});
}

/// A linear layer takes all of a flattened image, which is one pixel.
DeviceValue as_pixel(DeviceValue x) {
  x.height = x.width = 1;
  return x;
}

std::string describe(const FilterChoice& choice, int bits, bool two_bytes) {
  const TileShape shape = tile_shape(choice.tile, two_bytes);
  return fmt::format("{}-bit codes on tensor cores, tiles of {} x {}{}", bits, shape.tile_rows(),
                     shape.tile_columns(),
                     choice.splits == 1 ? "" : fmt::format(", depth in {} parts", choice.splits));
}

std::string describe(const LinearChoice& choice, int bits) {
  return fmt::format("{}-bit codes on tensor cores, few rows, {} outputs{}", bits,
                     choice.stripes * infer::cuda::kBlockOutputs,
                     choice.splits == 1 ? "" : fmt::format(", depth in {} parts", choice.splits));
}

}  // namespace

NetSteps::NetSteps(const infer::IntegerNet& net, const infer::CudaNetOptions& options, DeviceMemory& memory)
    : net_(net), options_(options), memory_(memory) {
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, options.device),
        "asking for the number of multiprocessors");
  place_values();
  for (size_t i = 0; i < net.nodes().size(); ++i) add_step(i);
}

void NetSteps::place_values() {
  const auto& nodes = net_.nodes();
  const auto count = static_cast<int>(nodes.size());
  std::vector<int> last = net_.last_uses();
  for (int i = count - 1; i > 0; --i) {
    if (!stays_in_place(static_cast<size_t>(i))) continue;
    int& of_input = last[static_cast<size_t>(nodes[static_cast<size_t>(i)].inputs[0])];
    of_input = std::max(of_input, last[static_cast<size_t>(i)]);
  }
  infer::ArenaPlanner arena;
  for (int i = 0; i < count; ++i) {
    const Node& n = nodes[static_cast<size_t>(i)];
    const Size2d size = infer::image_size(n);
    values_.push_back({.type = n.format.type,
                       .images = static_cast<int>(options_.batch),
                       .height = static_cast<int>(size.height),
                       .width = static_cast<int>(size.width),
                       .channels = static_cast<int>(n.shape[-1]),
                       .stored = stored_channels(static_cast<size_t>(i))});
    DS_CHECK(
        bytes_of(values_.back()) <= std::numeric_limits<int32_t>::max(),
        "[cuda_net] {}: a batch of {} values has {} bytes, expected less than 2^31: take a smaller batch",
        n.place, options_.batch, bytes_of(values_.back()));
    arena.add(bytes_of(values_.back()), i, last[static_cast<size_t>(i)]);
  }
  arena.place();
  arena_bytes_ = arena.bytes();
  auto* base = static_cast<uint8_t*>(memory_.allocate(static_cast<size_t>(arena_bytes_)));
  for (int i = 0; i < count; ++i) values_[static_cast<size_t>(i)].data = base + arena.offset(i);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (stays_in_place(i)) values_[i].data = input(i).data;
  }
  pixels_ = values_.front();
  pixels_.type = DType::kU8;
  pixels_.stored = pixels_.channels;
  pixels_.data = memory_.zeros(static_cast<size_t>(bytes_of(pixels_)));
}

/// Flattening an image of one pixel.
bool NetSteps::stays_in_place(size_t index) const {
  const Node& n = node(index);
  if (n.kind != NodeKind::kFlatten) return false;
  const Size2d size = infer::image_size(node(static_cast<size_t>(n.inputs[0])));
  return size.height == 1 && size.width == 1;
}

/// Channels of a pixel in memory: whole vectors of 16 bytes; or of 8, where an image of few channels goes to
/// the tensor cores alone.
int NetSteps::stored_channels(size_t index) const {
  const Node& n = node(index);
  const int64_t channels = n.shape[-1];
  const bool few = n.kind == NodeKind::kInput && n.format.type == DType::kI16 && channels <= 4;
  const auto taken = [&](size_t reader) {
    const Node& r = node(reader);
    const bool reads = std::ranges::count(r.inputs, static_cast<int>(index)) > 0;
    return r.shortcut != static_cast<int>(index) && (!reads || on_tensor_cores(reader, 4));
  };
  bool all_taken = few && net_.nodes().size() > 1;
  for (size_t reader = index + 1; reader < net_.nodes().size(); ++reader)
    all_taken = all_taken && taken(reader);
  if (all_taken) return 4;
  return round_up(channels, size_of(n.format.type) == 1 ? 16 : 8);
}

/// Whether a layer with so many stored input channels is a product of matrices that sums of 32 bits hold.
bool NetSteps::on_tensor_cores(size_t index, int stored) const {
  const Node& n = node(index);
  if (!n.filtered() || options_.shifts_only) return false;
  const infer::Window window = infer::window_of(n);
  const int64_t taps = window.kernel.height * window.kernel.width;
  return window.groups == 1 && taps <= infer::cuda::kMaskedTaps && taps * stored <= kDeepest;
}

void NetSteps::add_step(size_t index) {
  if (stays_in_place(index)) {
    steps_.push_back({.ways = {{.kernel = "nothing to do", .start = [](cudaStream_t) {}}}});
  } else if (node(index).filtered()) {
    steps_.push_back(filter_step(index));
  } else {
    steps_.push_back({.ways = {{.kernel = "eight values a thread", .start = row_start(index)}}});
  }
}

/// By channel of memory.
RescaleArguments NetSteps::rescale(size_t index) {
  const Node& n = node(index);
  // The tensor cores' tiles may reach beyond the stored channels.
  const auto channels = static_cast<size_t>(round_up(n.shape[-1], kOutputGranularity));
  std::vector<int32_t> multiplier = n.rescale.multiplier;
  std::vector<int64_t> addend = n.rescale.addend;
  for (size_t c = 0; c < addend.size(); ++c) addend[c] += infer::half(n.rescale.shift[c]);
  std::vector<int32_t> shift = n.rescale.shift;
  multiplier.resize(channels);
  addend.resize(channels);
  shift.resize(channels);
  RescaleArguments result{.multiplier = memory_.upload(multiplier),
                          .addend = memory_.upload(addend),
                          .shift = memory_.upload(shift),
                          .channels = static_cast<int>(n.shape[-1]),
                          .pre_shift = n.rescale.pre_shift,
                          .low = static_cast<int32_t>(n.low),
                          .high = static_cast<int32_t>(n.high),
                          .wide = !infer::rescales_in_32_bits(net_, index)};
  if (n.shortcut >= 0) {
    const Node& shortcut = node(static_cast<size_t>(n.shortcut));
    result.shortcut = value(n.shortcut).data;
    result.shortcut_type = shortcut.format.type;
    result.shortcut_stored = value(n.shortcut).stored;
    result.shortcut_fraction = n.format.fraction_bits - shortcut.format.fraction_bits;
  }
  return result;
}

NetStep NetSteps::filter_step(size_t index) {
  DS_CHECK(node(index).filters.format.terms == 1,
           "[cuda_net] layer {} has weights of two terms, which CUDA devices do not run: use CpuNet",
           node(index).place);
  return on_tensor_cores(index, input(index).stored) ? tensor_core_step(index) : shift_step(index);
}

NetStep NetSteps::tensor_core_step(size_t index) {
  const Node& n = node(index);
  const DeviceValue x = n.kind == NodeKind::kLinear ? as_pixel(input(index)) : input(index);
  const DeviceValue& y = values_[index];
  const FilterGeometry geometry = geometry_of(x, y, infer::window_of(n));
  const bool patches = takes_patches(geometry, x.type);
  const FilterFragments fragments = infer::cuda::pack_fragments(
      n.filters, {.channels = x.stored,
                  .row_taps = patches ? kPatchTaps : 0,
                  .output_granularity = kOutputGranularity,
                  .depth_granularity = patches ? infer::cuda::kBlockDepth : kDepthGranularity});
  FilterArguments args{.geometry = geometry,
                       .tables = fragments.tables,
                       .rescale = rescale(index),
                       .input = x.data,
                       .output = y.data,
                       .output_type = y.type,
                       .output_channels = y.stored,
                       .weights = memory_.upload(fragments.words),
                       .depth_blocks = fragments.depth_blocks,
                       .wide_sums = net_.bounds()[index].accumulator.bits() > 32,
                       .outputs = fragments.outputs};
  if (!fragments.corrections.empty()) {
    args.correction_starts = memory_.upload(fragments.correction_starts);
    args.corrections = memory_.upload(fragments.corrections);
  }
  const auto weight_bytes = static_cast<int64_t>(fragments.words.size() * sizeof(uint32_t));
  const int bits = fragments.bits;
  if (patches) {
    return {.ways = {{.kernel = fmt::format("{}-bit codes on tensor cores, patches of {} x {} pixels", bits,
                                            kPatchRows, kPatchColumns),
                      .start = [args, bits](cudaStream_t stream) { run_patch(args, bits, stream); }}},
            .weight_bytes = weight_bytes};
  }
  std::vector<StepWay> ways = tile_ways(args, bits, x.type);
  if (takes_few_rows(geometry, x.type, options_.device)) {
    std::ranges::move(linear_ways(args, bits, x.type), std::back_inserter(ways));
  }
  return {.ways = std::move(ways), .weight_bytes = weight_bytes};
}

/// Every tile, with the depth whole and in parts, unless there are thread blocks enough.
std::vector<StepWay> NetSteps::tile_ways(FilterArguments args, int bits, DType input) {
  const bool two_bytes = has_two_bytes(bits, input);
  const int steps = args.depth_blocks * infer::cuda::kBlockDepth / kDepthGranularity;
  const auto tiles_of = [&](FilterTile tile) {
    const TileShape shape = tile_shape(tile, two_bytes);
    return static_cast<int64_t>(round_up(args.geometry.rows(), shape.tile_rows()) / shape.tile_rows()) *
           (round_up(args.output_channels, shape.tile_columns()) / shape.tile_columns());
  };
  std::vector<FilterChoice> choices;
  int64_t tickets = 0;
  for (const FilterTile tile : kFilterTiles) {
    if (two_bytes && tile == FilterTile::kTall) continue;  // it is kMedium
    for (const int splits : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}) {
      if (splits > 1 && (splits > steps || tiles_of(tile) * splits > 8 * multiprocessors_)) break;
      choices.push_back({.tile = tile, .splits = splits});
      if (splits > 1) tickets = std::max(tickets, tiles_of(tile));
    }
  }
  if (tickets > 0) {
    const int64_t sums = static_cast<int64_t>(args.geometry.rows()) * args.outputs;
    args.partial_sums = memory_.zeros(static_cast<size_t>(sums) * (args.wide_sums ? 8 : 4));
    args.tickets = static_cast<uint32_t*>(memory_.zeros(static_cast<size_t>(tickets) * sizeof(uint32_t)));
  }
  std::vector<StepWay> ways;
  for (const FilterChoice& choice : choices) {
    ways.push_back({.kernel = describe(choice, bits, two_bytes),
                    .start = [args, bits, input, choice](cudaStream_t stream) {
                      run_filter(args, bits, input, choice, stream);
                    }});
  }
  return ways;
}

/// Up to two thread blocks a multiprocessor.
std::vector<StepWay> NetSteps::linear_ways(const FilterArguments& args, int bits, DType input) const {
  const int steps = args.depth_blocks * infer::cuda::kBlockDepth / kDepthGranularity;
  std::vector<StepWay> ways;
  for (const int stripes : {1, 2}) {
    const int outputs = stripes * infer::cuda::kBlockOutputs;
    const int blocks = round_up(args.output_channels, outputs) / outputs;
    for (const int splits : {1, 2, 4, 8}) {
      if (splits > 1 && (splits > steps || blocks * splits > 2 * multiprocessors_)) break;
      const LinearChoice choice{.stripes = stripes, .splits = splits};
      ways.push_back(
          {.kernel = describe(choice, bits), .start = [args, bits, input, choice](cudaStream_t stream) {
             run_linear(args, bits, input, choice, stream);
           }});
    }
  }
  return ways;
}

NetStep NetSteps::shift_step(size_t index) {
  const Node& n = node(index);
  const DeviceValue x = n.kind == NodeKind::kLinear ? as_pixel(input(index)) : input(index);
  const DeviceValue& y = values_[index];
  const infer::Window window = infer::window_of(n);
  const auto outputs = static_cast<size_t>(n.filters.shape[0]);
  const std::vector<int32_t> integers = n.filters.integers();
  const size_t depth = integers.size() / outputs;
  std::vector<uint8_t> codes(integers.size());
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t d = 0; d < depth; ++d) {
      const int32_t integer = integers[o * depth + d];
      const auto magnitude = static_cast<uint32_t>(std::abs(integer));
      codes[d * outputs + o] = static_cast<uint8_t>(std::bit_width(magnitude) | (integer < 0 ? 0x80 : 0));
    }
  }
  const ShiftFilterArguments args{.geometry = geometry_of(x, y, window),
                                  .rescale = rescale(index),
                                  .group_inputs = static_cast<int>(n.filters.shape[-1]),
                                  .group_outputs = static_cast<int>(n.filters.shape[0] / window.groups),
                                  .codes = memory_.upload(codes),
                                  .outputs = static_cast<int>(outputs)};
  return {.ways = {{.kernel = "shifts and additions, a thread a value",
                    .start = [x, y, args](cudaStream_t stream) { run_shift_filter(x, y, args, stream); }}},
          .weight_bytes = static_cast<int64_t>(codes.size())};
}

std::function<void(cudaStream_t)> NetSteps::row_start(size_t index) {
  const Node& n = node(index);
  const DeviceValue& y = values_[index];
  const DeviceValue x = n.kind == NodeKind::kInput ? pixels_ : input(index);
  switch (n.kind) {
    case NodeKind::kInput:
      return [x, y, r = rescale(index)](cudaStream_t stream) { run_input(x, y, r, stream); };
    case NodeKind::kScale:
      return [x, y, r = rescale(index)](cudaStream_t stream) { run_scale(x, y, r, stream); };
    case NodeKind::kAvgPool2d:
      return [x, y, window = pool_geometry(x, y, n.pool), r = rescale(index)](cudaStream_t stream) {
        run_average_pool(x, y, window, r, stream);
      };
    case NodeKind::kMaxPool2d:
      return [x, y, window = pool_geometry(x, y, n.pool)](cudaStream_t stream) {
        run_max_pool(x, y, window, stream);
      };
    case NodeKind::kAdd: return add_start(index);
    case NodeKind::kClamp:
      return [x, y, low = static_cast<int32_t>(n.low), high = static_cast<int32_t>(n.high)](
                 cudaStream_t stream) { run_clamp(x, y, low, high, stream); };
    case NodeKind::kFlatten: return [x, y](cudaStream_t stream) { run_flatten(x, y, stream); };
    default: return copies_start(index);
  }
}

std::function<void(cudaStream_t)> NetSteps::add_start(size_t index) {
  const Node& n = node(index);
  const DeviceValue& a = input(index, 0);
  const DeviceValue& b = input(index, 1);
  const int of_a = node(static_cast<size_t>(n.inputs[0])).format.fraction_bits;
  const int of_b = node(static_cast<size_t>(n.inputs[1])).format.fraction_bits;
  const int fraction = std::max({of_a, of_b, n.format.fraction_bits});
  const AddArguments add{.shift_a = fraction - of_a,
                         .shift_b = fraction - of_b,
                         .shift = fraction - n.format.fraction_bits,
                         .low = static_cast<int32_t>(n.low),
                         .high = static_cast<int32_t>(n.high)};
  return [a, b, y = values_[index], add](cudaStream_t stream) { run_add(a, b, y, add, stream); };
}

/// Concatenation, channels of zeros, every n-th pixel: channels that are copied, and zeros behind the last.
std::function<void(cudaStream_t)> NetSteps::copies_start(size_t index) {
  const Node& n = node(index);
  const DeviceValue& y = values_[index];
  std::vector<std::pair<DeviceValue, CopyArguments>> copies;
  int channel = 0;
  for (size_t i = 0; i < n.inputs.size(); ++i) {
    DeviceValue x = input(index, i);
    CopyArguments copy{.begin = channel, .end = channel + x.channels, .first = channel};
    if (n.kind == NodeKind::kSubsample2d) {
      copy.stride_height = static_cast<int>(n.stride.height);
      copy.stride_width = static_cast<int>(n.stride.width);
    }
    if (n.kind == NodeKind::kPadChannels) copy.first = static_cast<int>(n.padding.before);
    if (i + 1 == n.inputs.size()) copy.end = y.stored;
    channel += x.channels;
    copies.emplace_back(x, copy);
  }
  return [copies, y](cudaStream_t stream) {
    for (const auto& [x, copy] : copies) run_copy(x, y, copy, stream);
  };
}

}  // namespace ds::cuda
