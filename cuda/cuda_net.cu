#include "infer/cuda/cuda_net.h"

#include <algorithm>
#include <limits>
#include <mutex>

#include "cuda/check.h"
#include "cuda/compute.h"
#include "cuda/net_steps.h"
#include "cuda/stream.h"

namespace ds::infer {
namespace {

using ds::cuda::check;
using ds::cuda::DeviceMemory;
using ds::cuda::Graph;
using ds::cuda::NetStep;
using ds::cuda::NetSteps;
using ds::cuda::Stopwatch;
using ds::cuda::Stream;

constexpr int kTuningRuns = 7;

Device checked_device(const CudaNetOptions& options) {
  DS_CHECK(options.batch >= 1 && options.batch <= std::numeric_limits<int32_t>::max(),
           "[cuda_net] batch is {}, expected 1 to 2^31 - 1", options.batch);
  const Device device{.type = DeviceType::kCuda, .index = options.device};
  backend(device);  // throws where it is not there
  check(cudaSetDevice(options.device), "selecting the device");
  return device;
}

}  // namespace

class CudaNet::Plan {
 public:
  Plan(const IntegerNet& net, const CudaNetOptions& options)
      : net_(net), options_(options), memory_(checked_device(options)), steps_(net_, options_, memory_) {
    // Uploads, and work with memory that was given back, may be under way still, and the plan's stream does
    // not wait for them. Waiting for the whole device would break what other threads capture.
    check(cudaStreamSynchronize(ds::cuda::compute_stream(options_.device)), "uploading weights");
    const std::vector<NetStep> steps = steps_.take();
    for (size_t i = 0; i < steps.size(); ++i) choose(net_.nodes()[i], steps[i]);
    graph_ = std::make_unique<Graph>(stream_, [&] {
      for (const auto& start : starts_) start(stream_.get());
    });
  }

  const IntegerNet& net() const { return net_; }
  const std::vector<CudaStepInfo>& infos() const { return infos_; }
  int64_t arena_bytes() const { return steps_.arena_bytes(); }

  void run(const uint8_t* pixels, int64_t images, int32_t* results) const {
    const std::lock_guard lock(mutex_);
    check(cudaSetDevice(options_.device), "selecting the device");
    const int64_t image = net_.input().numel();
    const int64_t outputs = net_.result().shape.numel();
    // Before anything is started: where there is no memory for it, nothing is under way.
    std::vector<uint8_t> stored(result_bytes(std::min(options_.batch, images)));
    for (int64_t first = 0; first < images; first += options_.batch) {
      const int64_t count = std::min(options_.batch, images - first);
      check(cudaMemcpyAsync(steps_.pixels(), pixels + first * image, static_cast<size_t>(count * image),
                            cudaMemcpyHostToDevice, stream_.get()),
            "copying pixels");
      graph_->start(stream_);
      copy_results(count, stored, results + first * outputs);
    }
  }

  std::vector<double> time_runs(int64_t runs) const {
    const std::lock_guard lock(mutex_);
    check(cudaSetDevice(options_.device), "selecting the device");
    Stopwatch stopwatch(stream_);
    std::vector<double> milliseconds;
    for (int64_t i = 0; i < runs; ++i)
      milliseconds.push_back(stopwatch.time([&] { graph_->start(stream_); }));
    return milliseconds;
  }

 private:
  /// The fastest way of a step, or the one that was asked for.
  void choose(const Node& node, const NetStep& step) {
    size_t best = static_cast<size_t>(options_.way) % step.ways.size();
    double fastest = 0.0;
    if (options_.tune) {
      fastest = std::numeric_limits<double>::infinity();
      for (size_t way = 0; way < step.ways.size(); ++way) {
        const double milliseconds = time_way(step.ways[way].start);
        if (milliseconds < fastest) {
          fastest = milliseconds;
          best = way;
        }
      }
    }
    starts_.push_back(step.ways[best].start);
    infos_.push_back({.place = node.place,
                      .kind = std::string(name_of(node.kind)),
                      .kernel = step.ways[best].kernel,
                      .weight_bytes = step.weight_bytes,
                      .microseconds = fastest * 1e3});
  }

  double time_way(const std::function<void(cudaStream_t)>& start) {
    constexpr int kLaunches = 5;
    const Graph launches(stream_, [&] {
      for (int i = 0; i < kLaunches; ++i) start(stream_.get());
    });
    Stopwatch stopwatch(stream_);
    double fastest = std::numeric_limits<double>::infinity();
    for (int run = 0; run < kTuningRuns; ++run) {
      const double milliseconds = stopwatch.time([&] { launches.start(stream_); });
      if (run > 0) fastest = std::min(fastest, milliseconds / kLaunches);  // the first warms up
    }
    return fastest;
  }

  /// As they are stored on the device.
  size_t result_bytes(int64_t images) const {
    const ds::cuda::DeviceValue& y = steps_.result();
    return static_cast<size_t>(images * y.height * y.width * y.stored) * size_of(y.type);
  }

  /// Through `stored`, which holds as many bytes as are stored, or more.
  void copy_results(int64_t images, std::vector<uint8_t>& stored, int32_t* results) const {
    const ds::cuda::DeviceValue& y = steps_.result();
    const int64_t pixels = images * y.height * y.width;
    check(cudaMemcpyAsync(stored.data(), y.data, result_bytes(images), cudaMemcpyDeviceToHost, stream_.get()),
          "copying results");
    stream_.wait();
    const size_t pitch = static_cast<size_t>(y.stored) * size_of(y.type);
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      widen(y.type, stored.data() + static_cast<size_t>(pixel) * pitch, y.channels,
            results + pixel * y.channels);
    }
  }

  IntegerNet net_;
  CudaNetOptions options_;
  DeviceMemory memory_;
  NetSteps steps_;
  Stream stream_;  // after the memory that its work uses: waits for it before that is given back
  std::vector<std::function<void(cudaStream_t)>> starts_;
  std::vector<CudaStepInfo> infos_;
  std::unique_ptr<Graph> graph_;
  mutable std::mutex mutex_;
};

CudaNet::CudaNet(const IntegerNet& net, const CudaNetOptions& options)
    : plan_(std::make_unique<const Plan>(net, options)) {}
CudaNet::~CudaNet() = default;

void CudaNet::run(const uint8_t* pixels, int64_t images, int32_t* results) const {
  plan_->run(pixels, images, results);
}

Tensor CudaNet::operator()(const Tensor& images) const {
  Tensor y = net().results_for(images);
  run(images.data<uint8_t>(), images.size(0), y.data<int32_t>());
  return y;
}

const IntegerNet& CudaNet::net() const { return plan_->net(); }
int64_t CudaNet::arena_bytes() const { return plan_->arena_bytes(); }
std::vector<CudaStepInfo> CudaNet::steps() const { return plan_->infos(); }
std::vector<double> CudaNet::time_runs(int64_t runs) const { return plan_->time_runs(runs); }

int64_t CudaNet::weight_bytes() const {
  int64_t total = 0;
  for (const CudaStepInfo& step : plan_->infos()) total += step.weight_bytes;
  return total;
}

}  // namespace ds::infer
