#include "data/loader.h"

#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "core/backend.h"
#include "core/error.h"
#include "core/parallel.h"

namespace ds {
namespace {

/// What a random stream is for. Stream 0 belongs to the default generator.
enum class Purpose : uint64_t { kOrder = 1, kAugment = 2, kMixup = 3 };

/// A generator of its own for every purpose, epoch and item (image or batch).
Generator make_generator(uint64_t seed, Purpose purpose, int64_t epoch, int64_t item) {
  const uint64_t stream =
      static_cast<uint64_t>(purpose) << 60 | static_cast<uint64_t>(epoch) << 36 | static_cast<uint64_t>(item);
  return Generator(seed, stream);
}

bool mixes(const LoaderOptions& options) { return options.mixup > 0.0 || options.cutmix > 0.0; }

/// Of the targets that mixing makes; 0 where nobody says.
int64_t soft_classes(const Dataset& dataset, const LoaderOptions& options) {
  return std::max(options.classes, static_cast<int64_t>(dataset.classes.size()));
}

void check_options(const Dataset& dataset, const LoaderOptions& options) {
  const Tensor& images = dataset.images;
  DS_CHECK(dataset.files != nullptr || (images.rank() == 4 && images.dtype() == DType::kU8),
           "[loader] images are {} {}, expected u8 [N,H,W,C]", name_of(images.dtype()), images.shape().str());
  const int64_t count = dataset.files != nullptr ? dataset.files->size() : images.size(0);
  DS_CHECK(dataset.labels.shape() == Shape({count}) && dataset.labels.dtype() == DType::kI64,
           "[loader] labels are {} {}, expected i64 [{}]", name_of(dataset.labels.dtype()),
           dataset.labels.shape().str(), count);
  DS_CHECK(dataset.files != nullptr || !options.random_resized_crop,
           "[loader] random resized crops are for images in files, found images in memory");
  DS_CHECK(options.batch >= 1 && options.workers >= 0 && options.prefetch >= 0,
           "[loader] batch {}, workers {}, prefetch {}, expected at least 1, 0, 0", options.batch,
           options.workers, options.prefetch);
  DS_CHECK(options.mixup >= 0.0 && options.cutmix >= 0.0, "[loader] mixup {}, cutmix {}, expected at least 0",
           options.mixup, options.cutmix);
  const auto classes = static_cast<int64_t>(dataset.classes.size());
  DS_CHECK(options.classes == 0 || options.classes >= classes,
           "[loader] {} classes, expected at least the {} of the data set", options.classes, classes);
  DS_CHECK(!mixes(options) || soft_classes(dataset, options) > 0,
           "[loader] mixup and cutmix need the number of classes: the data set has no names of them");
  DS_CHECK(0.0 <= options.label_smoothing && options.label_smoothing < 1.0,
           "[loader] label smoothing {}, expected it in [0, 1)", options.label_smoothing);
  DS_CHECK(mixes(options) || options.label_smoothing == 0.0,
           "[loader] label smoothing {} without mixup and cutmix: smooth labels in cross_entropy()",
           options.label_smoothing);
  const Shape image = dataset.image_shape();
  DS_CHECK(!options.random_resized_crop || options.random_resized_crop->size == image[0],
           "[loader] random resized crops of {} pixels of a data set framed to {}",
           options.random_resized_crop->size, image[0]);
  const auto& [mean, deviation] = options.normalization;
  const auto channels = static_cast<size_t>(dataset.channels());
  DS_CHECK(mean.size() == deviation.size() && (mean.empty() || mean.size() == channels),
           "[loader] {} means and {} deviations, expected {} or none", mean.size(), deviation.size(),
           channels);
  for (const float value : deviation)
    DS_CHECK(value > 0.0F, "[loader] deviation {}, expected more than 0", value);
}

/// The normalised value of each of the 256 pixel values, for each channel; in PyTorch's order of operations.
std::vector<float> normalization_table(const Normalization& normalization, int64_t channels) {
  std::vector<float> table;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    for (int pixel = 0; pixel < 256; ++pixel) {
      const float value = static_cast<float>(pixel) / 255.0F;
      table.push_back(
          normalization.mean.empty() ? value : (value - normalization.mean[c]) / normalization.deviation[c]);
    }
  }
  return table;
}

}  // namespace

/// Batches are numbered within the epoch. Workers take the numbers in order and put their results into a ring
/// of as many slots as options().prefetch says, from which next() takes them in order.
class DataLoader::State {
 public:
  State(Dataset dataset, LoaderOptions options) : dataset_(std::move(dataset)), options_(std::move(options)) {
    check_options(dataset_, options_);
    table_ = normalization_table(options_.normalization, dataset_.channels());
  }
  ~State() { stop_workers(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Dataset& dataset() const { return dataset_; }
  const LoaderOptions& options() const { return options_; }
  /// Starts the next epoch, unless one was started and not read from.
  void start_next() {
    if (!fresh_) start(epoch_ + 1, 0);
  }
  int64_t batches() const {
    const int64_t full = dataset_.size() / options_.batch;
    return full + (!options_.drop_last && dataset_.size() % options_.batch != 0 ? 1 : 0);
  }

  void start(int64_t epoch, int64_t first_batch);
  bool next(Batch& batch);
  int64_t position() const { return delivered_; }

 private:
  /// The next batch, which may be empty.
  void take(Batch& batch);
  struct Slot {
    std::optional<Batch> batch;
    std::exception_ptr error;
    bool full() const { return batch.has_value() || error != nullptr; }
  };

  Batch prepare(int64_t number) const;
  Batch on_device(const Batch& batch) const {
    return {upload(batch.images, options_.device), upload(batch.labels, options_.device)};
  }
  void mix(Batch& batch, int64_t number) const;
  bool fill_image(int64_t index, std::vector<uint8_t>& scratch, float* target) const;
  bool read(int64_t index, Generator& generator, std::span<uint8_t> pixels) const;
  void work();
  void stop_workers();
  /// Each worker may have a batch in work while others are ready.
  int64_t prefetch() const {
    return options_.prefetch > 0 ? options_.prefetch : std::max(4, options_.workers + 2);
  }
  Slot& slot_of(int64_t number) { return slots_[static_cast<size_t>(number % prefetch())]; }

  const Dataset dataset_;
  const LoaderOptions options_;
  std::vector<float> table_;

  // Of the epoch: changed only while no worker runs.
  int64_t epoch_ = -1;
  bool fresh_ = false;  // started, and not yet read from
  bool any_ = false;    // an image of the epoch was read, as were perhaps those before where it was started
  std::vector<int64_t> order_;
  std::vector<std::thread> workers_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable slot_filled_;
  std::condition_variable slot_emptied_;
  std::vector<Slot> slots_;
  int64_t taken_ = 0;      // the next batch that a worker takes
  int64_t delivered_ = 0;  // the next batch that next() returns
  bool stopping_ = false;
};

void DataLoader::State::start(int64_t epoch, int64_t first_batch) {
  DS_CHECK(0 <= epoch && epoch < int64_t{1} << 24, "[loader] epoch {}, expected one in [0, 2^24)", epoch);
  DS_CHECK(0 <= first_batch && first_batch <= batches(),
           "[loader] start at batch {}, expected one in [0, {}]", first_batch, batches());
  stop_workers();
  epoch_ = epoch;
  fresh_ = true;
  any_ = first_batch > 0;
  order_.resize(static_cast<size_t>(dataset_.size()));
  std::iota(order_.begin(), order_.end(), 0);
  if (options_.shuffle) {
    Generator generator = make_generator(options_.seed, Purpose::kOrder, epoch, 0);
    shuffle(order_, generator);
  }
  slots_.clear();
  slots_.resize(static_cast<size_t>(prefetch()));
  taken_ = delivered_ = first_batch;
  for (int i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { work(); });
}

bool DataLoader::State::next(Batch& batch) {
  DS_CHECK(epoch_ >= 0, "[loader] next() before an epoch was started");
  fresh_ = false;
  while (delivered_ < batches()) {
    take(batch);
    if (batch.images.size(0) == 0) continue;  // none of its images can be read
    any_ = true;
    return true;
  }
  DS_CHECK(any_ || batches() == 0, "[loader] none of the {} images can be read: {}", dataset_.size(),
           dataset_.files->broken().front().reason);
  return false;
}

void DataLoader::State::take(Batch& batch) {
  if (workers_.empty()) {
    batch = on_device(prepare(delivered_++));
  } else {
    std::unique_lock lock(mutex_);
    Slot& slot = slot_of(delivered_);
    slot_filled_.wait(lock, [&] { return slot.full(); });
    const Slot result = std::exchange(slot, {});
    ++delivered_;
    lock.unlock();
    slot_emptied_.notify_all();
    if (result.error != nullptr) std::rethrow_exception(result.error);
    batch = *result.batch;
  }
}

void DataLoader::State::work() {
  unpin_this_thread();
  std::unique_lock lock(mutex_);
  while (true) {
    slot_emptied_.wait(lock,
                       [&] { return stopping_ || taken_ == batches() || taken_ < delivered_ + prefetch(); });
    if (stopping_ || taken_ == batches()) return;
    const int64_t number = taken_++;
    lock.unlock();
    Slot result;
    try {
      result.batch = on_device(prepare(number));
    } catch (...) {
      result.error = std::current_exception();
    }
    lock.lock();
    slot_of(number) = std::move(result);
    slot_filled_.notify_one();
  }
}

void DataLoader::State::stop_workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  slot_emptied_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  stopping_ = false;
}

Batch DataLoader::State::prepare(int64_t number) const {
  const int64_t begin = number * options_.batch;
  const int64_t count = std::min(options_.batch, dataset_.size() - begin);
  const Shape image = dataset_.image_shape();
  Batch batch{Tensor::empty({count, image[0], image[1], image[2]}), Tensor::empty({count}, DType::kI64)};
  const int64_t pixels = image.numel();
  std::vector<uint8_t> scratch(static_cast<size_t>(pixels));
  int64_t filled = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = order_[static_cast<size_t>(begin + i)];
    if (!fill_image(index, scratch, batch.images.data<float>() + filled * pixels)) continue;
    batch.labels.data<int64_t>()[filled++] = dataset_.labels.data<int64_t>()[index];
  }
  if (filled < count) batch = {batch.images.slice(0, filled), batch.labels.slice(0, filled)};
  if (filled > 0) mix(batch, number);
  return batch;
}

void DataLoader::State::mix(Batch& batch, int64_t number) const {
  if (!mixes(options_)) return;
  Generator generator = make_generator(options_.seed, Purpose::kMixup, epoch_, number);
  const bool both = options_.mixup > 0.0 && options_.cutmix > 0.0;
  const bool cut = both ? generator.below(2) == 1 : options_.cutmix > 0.0;
  const MixupOptions options = {.alpha = cut ? options_.cutmix : options_.mixup,
                                .classes = soft_classes(dataset_, options_),
                                .label_smoothing = options_.label_smoothing};
  batch.labels = cut ? cutmix(batch.images, batch.labels, options, generator)
                     : mixup(batch.images, batch.labels, options, generator);
}

bool DataLoader::State::read(int64_t index, Generator& generator, std::span<uint8_t> pixels) const {
  if (dataset_.files == nullptr) {
    const auto* source = dataset_.images.data<uint8_t>() + static_cast<size_t>(index) * pixels.size();
    std::memcpy(pixels.data(), source, pixels.size());
    return true;
  }
  return options_.random_resized_crop
             ? dataset_.files->read(index, *options_.random_resized_crop, generator, pixels)
             : dataset_.files->read(index, pixels);
}

bool DataLoader::State::fill_image(int64_t index, std::vector<uint8_t>& scratch, float* target) const {
  Generator generator = make_generator(options_.seed, Purpose::kAugment, epoch_, index);
  if (!read(index, generator, scratch)) return false;
  const Shape shape = dataset_.image_shape();
  const ImageView image = {scratch.data(), shape[0], shape[1], shape[2]};
  for (const Transform& transform : options_.augment) transform(image, generator);
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t i = 0; i < scratch.size(); i += channels) {
    for (size_t c = 0; c < channels; ++c) target[i + c] = table_[c * 256 + scratch[i + c]];
  }
  return true;
}

DataLoader::DataLoader(Dataset dataset, LoaderOptions options)
    : state_(std::make_unique<State>(std::move(dataset), std::move(options))) {}
DataLoader::~DataLoader() = default;

const Dataset& DataLoader::dataset() const { return state_->dataset(); }
const LoaderOptions& DataLoader::options() const { return state_->options(); }
int64_t DataLoader::batches() const { return state_->batches(); }
void DataLoader::start(int64_t epoch, int64_t first_batch) { state_->start(epoch, first_batch); }
bool DataLoader::next(Batch& batch) { return state_->next(batch); }
int64_t DataLoader::position() const { return state_->position(); }

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  if (!loader_->next(batch_)) {
    loader_ = nullptr;
    batch_ = {};
  }
  return *this;
}

DataLoader::Iterator DataLoader::begin() {
  state_->start_next();
  Iterator first;
  first.loader_ = this;
  return ++first;
}

}  // namespace ds
