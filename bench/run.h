// The main function that the benchmarks share.
#pragma once

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <exception>
#include <functional>

namespace ds::bench {

/// Runs the benchmarks that `set_up` registers. An error, as of a DEEPSHIFT_ISA that the processor lacks,
/// ends with its message and exit code 1.
inline int run(int argc, char** argv, const std::function<void()>& set_up) {
  try {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    set_up();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
    return 1;
  }
}

}  // namespace ds::bench
