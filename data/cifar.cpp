#include "data/cifar.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/atomic_file.h"
#include "core/error.h"

namespace ds {
namespace {

constexpr int64_t kSide = 32;
constexpr int64_t kPlane = kSide * kSide;
constexpr int64_t kChannels = 3;
constexpr int64_t kPixels = kPlane * kChannels;

/// What tells the two sets apart.
struct Format {
  const char* name;
  const char* subfolder;
  const char* names_file;
  int64_t label_bytes;  // the last one is the label that is used
  int64_t classes;      // unless the names file has another number
  const char* hint;
};

constexpr Format kCifar10 = {"cifar10",
                             "cifar-10-batches-bin",
                             "batches.meta.txt",
                             1,
                             10,
                             "tools/get_cifar10.sh FOLDER fetches the data"};
constexpr Format kCifar100 = {"cifar100",
                              "cifar-100-binary",
                              "fine_label_names.txt",
                              2,
                              100,
                              "https://www.cs.toronto.edu/~kriz/cifar.html has the data"};

/// `folder` or its usual sub-folder: where `file` is.
std::filesystem::path find_folder(const Format& format, const std::string& folder, const std::string& file) {
  const std::filesystem::path outer(folder);
  const std::filesystem::path inner = outer / format.subfolder;
  for (const auto& candidate : {outer, inner}) {
    if (std::filesystem::exists(candidate / file)) return candidate;
  }
  fail("[{}] found neither {} nor {}; {}", format.name, (outer / file).string(), (inner / file).string(),
       format.hint);
}

std::vector<std::string> read_class_names(const Format& format, const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::ifstream file(folder / format.names_file);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (!names.empty()) return names;
  for (int64_t label = 0; label < format.classes; ++label) names.push_back(std::to_string(label));
  return names;
}

/// Number of records of a file, from its size.
int64_t count_records(const Format& format, const std::filesystem::path& path) {
  std::error_code error;
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path, error));
  DS_CHECK(!error, "[{}] {}: cannot be opened: {}; {}", format.name, path.string(), error.message(),
           format.hint);
  const int64_t record = format.label_bytes + kPixels;
  DS_CHECK(bytes > 0 && bytes % record == 0, "[{}] {}: has {} bytes, expected a multiple of {}", format.name,
           path.string(), bytes, record);
  return bytes / record;
}

/// R, G and B planes to H,W,C.
void interleave(const uint8_t* planes, uint8_t* pixels) {
  for (int64_t i = 0; i < kPlane; ++i) {
    for (int64_t c = 0; c < kChannels; ++c) pixels[i * kChannels + c] = planes[c * kPlane + i];
  }
}

void separate(const uint8_t* pixels, uint8_t* planes) {
  for (int64_t i = 0; i < kPlane; ++i) {
    for (int64_t c = 0; c < kChannels; ++c) planes[c * kPlane + i] = pixels[i * kChannels + c];
  }
}

void read_records(const Format& format, const std::filesystem::path& path, Dataset records) {
  const auto record_bytes = static_cast<size_t>(format.label_bytes + kPixels);
  std::ifstream file(path, std::ios::binary);
  std::vector<char> record(record_bytes);
  const auto classes = static_cast<int64_t>(records.classes.size());
  for (int64_t i = 0; i < records.size(); ++i) {
    DS_CHECK(file.read(record.data(), static_cast<std::streamsize>(record_bytes)),
             "[{}] {}: record {} of {} cannot be read", format.name, path.string(), i, records.size());
    const auto* bytes = reinterpret_cast<const uint8_t*>(record.data());
    const int64_t label = bytes[format.label_bytes - 1];
    DS_CHECK(label < classes, "[{}] {}: record {} has label {}, expected one below {}", format.name,
             path.string(), i, label, classes);
    records.labels.data<int64_t>()[i] = label;
    interleave(bytes + format.label_bytes, records.images.data<uint8_t>() + i * kPixels);
  }
}

Dataset read_files(const Format& format, const std::string& folder, const std::vector<std::string>& files) {
  const std::filesystem::path found = find_folder(format, folder, files.front());
  int64_t total = 0;
  for (const std::string& file : files) total += count_records(format, found / file);
  Dataset dataset{Tensor::empty({total, kSide, kSide, kChannels}, DType::kU8),
                  Tensor::empty({total}, DType::kI64), read_class_names(format, found)};
  int64_t begin = 0;
  for (const std::string& file : files) {
    const int64_t end = begin + count_records(format, found / file);
    read_records(format, found / file, dataset.slice(begin, end));
    begin = end;
  }
  return dataset;
}

constexpr int64_t kTrainFiles = 5;

std::string train_file(int64_t number) { return "data_batch_" + std::to_string(number + 1) + ".bin"; }

std::string records_of(const Dataset& dataset) {
  std::string bytes(static_cast<size_t>(dataset.size() * (1 + kPixels)), '\0');
  auto* record = reinterpret_cast<uint8_t*>(bytes.data());
  for (int64_t i = 0; i < dataset.size(); ++i, record += 1 + kPixels) {
    record[0] = static_cast<uint8_t>(dataset.labels.data<int64_t>()[i]);
    separate(dataset.images.data<uint8_t>() + i * kPixels, record + 1);
  }
  return bytes;
}

void check_writable(const Dataset& dataset, int64_t least) {
  const int64_t count = dataset.size();
  DS_CHECK(count >= least, "[write_cifar10] {} images, expected at least {}", count, least);
  DS_CHECK(dataset.images.shape() == Shape({count, kSide, kSide, kChannels}),
           "[write_cifar10] images have shape {}, expected [{}, 32, 32, 3]", dataset.images.shape().str(),
           count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = dataset.labels.data<int64_t>()[i];
    DS_CHECK(0 <= label && label < 256, "[write_cifar10] image {} has label {}, expected one in [0, 256)", i,
             label);
  }
}

}  // namespace

Normalization cifar10_normalization() { return {{0.4914F, 0.4822F, 0.4465F}, {0.2023F, 0.1994F, 0.2010F}}; }

Normalization imagenet_normalization() { return {{0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}}; }

Dataset cifar10(const std::string& folder, Split split) {
  if (split == Split::kTest) return read_files(kCifar10, folder, {"test_batch.bin"});
  std::vector<std::string> files;
  for (int64_t i = 0; i < kTrainFiles; ++i) files.push_back(train_file(i));
  return read_files(kCifar10, folder, files);
}

Dataset cifar100(const std::string& folder, Split split) {
  return read_files(kCifar100, folder, {split == Split::kTrain ? "train.bin" : "test.bin"});
}

void write_cifar10(const std::string& folder, const Dataset& train, const Dataset& test) {
  check_writable(train, kTrainFiles);
  check_writable(test, 1);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  DS_CHECK(!error, "[write_cifar10] {}: cannot be created: {}", folder, error.message());
  const std::filesystem::path target(folder);
  for (int64_t i = 0; i < kTrainFiles; ++i) {
    const Dataset part = train.slice(train.size() * i / kTrainFiles, train.size() * (i + 1) / kTrainFiles);
    write_file_atomically((target / train_file(i)).string(), records_of(part));
  }
  write_file_atomically((target / "test_batch.bin").string(), records_of(test));
  std::string names;
  for (const std::string& name : train.classes) names += name + "\n";
  write_file_atomically((target / kCifar10.names_file).string(), names);
}

}  // namespace ds
