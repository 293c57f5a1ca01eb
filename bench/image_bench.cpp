// How fast one thread makes network inputs of the JPEG files of a folder: reads, decodes, crops and resizes
// them. bench/peers/torchvision_images.py does the same.
//
//   bench_image FOLDER --benchmark_repetitions=5
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "data/random_resized_crop.h"

namespace {

using namespace ds;

std::vector<std::string> jpeg_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::string extension = entry.path().extension();
    std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
    if (extension == ".jpg" || extension == ".jpeg") files.push_back(entry.path());
  }
  return files;
}

/// For a test: all of it, the shorter side 256, a square of 224 from the middle.
void evaluation(benchmark::State& state, const std::vector<std::string>& files) {
  for (auto _ : state) {
    for (const std::string& file : files) {
      benchmark::DoNotOptimize(center_crop(resize_shorter_side(read_image(file), 256), 224));
    }
  }
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(files.size()), benchmark::Counter::kIsIterationInvariantRate);
}

/// For training: a random part, resized to 224 x 224, flipped every other time.
void training(benchmark::State& state, const std::vector<std::string>& files) {
  const Transform flip = random_flip();
  Generator generator(1);
  for (auto _ : state) {
    for (const std::string& file : files) {
      Image image = decode_random_resized_crop(read_bytes(file), file, {.size = 224}, generator);
      flip({image.pixels.data(), image.height, image.width, 3}, generator);
      benchmark::DoNotOptimize(image);
    }
  }
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(files.size()), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    fmt::print(stderr, "usage: bench_image FOLDER [--benchmark_...]\n");
    return 1;
  }
  const std::vector<std::string> files = jpeg_files(argv[1]);
  fmt::print("{} files\n", files.size());
  benchmark::RegisterBenchmark("evaluation", evaluation, files)->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("training", training, files)->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
