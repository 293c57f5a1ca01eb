// Streams, the times between two points of one, and graphs of kernels.
#pragma once

#include <cuda_runtime.h>

#include "cuda/check.h"

namespace ds::cuda {

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream"); }
  /// Waits for its work, whose memory may be given back next; there is nobody to report an error to.
  ~Stream() {
    if (cudaStreamSynchronize(stream_) != cudaSuccess) cudaGetLastError();
    cudaStreamDestroy(stream_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_), "running kernels"); }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Milliseconds between two points of a stream.
class Stopwatch {
 public:
  explicit Stopwatch(const Stream& stream) : stream_(stream.get()) {
    for (cudaEvent_t& event : events_) check(cudaEventCreate(&event), "making an event");
  }
  ~Stopwatch() {
    for (const cudaEvent_t event : events_) cudaEventDestroy(event);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  template <class Work>
  double time(const Work& work) {
    check(cudaEventRecord(events_[0], stream_), "recording an event");
    work();
    check(cudaEventRecord(events_[1], stream_), "recording an event");
    check(cudaEventSynchronize(events_[1]), "running kernels");
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]), "reading an event");
    return milliseconds;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t events_[2] = {};
};

/// The work that is started in a stream, to be started again as a whole.
class Graph {
 public:
  template <class Work>
  Graph(const Stream& stream, const Work& work) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "capturing a graph");
    try {
      work();
    } catch (...) {  // the stream goes on without what was captured
      cudaStreamEndCapture(stream.get(), &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream.get(), &graph), "capturing a graph");
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "making a graph");
  }
  ~Graph() { cudaGraphExecDestroy(graph_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void start(const Stream& stream) const { check(cudaGraphLaunch(graph_, stream.get()), "starting a graph"); }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace ds::cuda
