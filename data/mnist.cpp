#include "data/mnist.h"

#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/error.h"

namespace ds {
namespace {

constexpr int64_t kSide = 28;
constexpr int64_t kPixels = kSide * kSide;
constexpr uint32_t kImagesMagic = 0x803;
constexpr uint32_t kLabelsMagic = 0x801;

/// An idx file, compressed or not: zlib reads both.
class IdxFile {
 public:
  explicit IdxFile(std::string path) : path_(std::move(path)), file_(gzopen(path_.c_str(), "rb")) {
    DS_CHECK(file_ != nullptr, "[mnist] {}: cannot be opened", path_);
  }

  const std::string& path() const { return path_; }

  /// Exactly `count` bytes. Memory grows with what is there, not with what is asked for.
  std::vector<uint8_t> read(int64_t count) {
    constexpr int64_t kPiece = 1 << 20;
    std::vector<uint8_t> bytes;
    while (static_cast<int64_t>(bytes.size()) < count) {
      const size_t before = bytes.size();
      const int64_t piece = std::min(kPiece, count - static_cast<int64_t>(before));
      bytes.resize(before + static_cast<size_t>(piece));
      const int got = gzread(file_.get(), bytes.data() + before, static_cast<unsigned>(piece));
      check_stream(got);
      DS_CHECK(got == piece, "[mnist] {}: ends after {} bytes, expected {} more", path_,
               position_ + static_cast<int64_t>(before) + got, piece - got);
    }
    position_ += count;
    return bytes;
  }

  uint32_t read_number() {
    const std::vector<uint8_t> bytes = read(4);
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
  }

  void expect_end() {
    uint8_t byte = 0;
    const int got = gzread(file_.get(), &byte, 1);
    check_stream(got);
    DS_CHECK(got == 0, "[mnist] {}: goes on after {} bytes, expected its end", path_, position_);
  }

 private:
  void check_stream(int got) const {
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    DS_CHECK(got >= 0 && (code == Z_OK || code == Z_STREAM_END), "[mnist] {}: damaged after {} bytes: {}",
             path_, position_, message);
  }

  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  int64_t position_ = 0;  // bytes read, uncompressed
};

/// Opens the first of the usual names of, for example, "train-images" and "idx3-ubyte".
IdxFile open_any(const std::string& folder, const std::string& stem, const std::string& type) {
  const std::filesystem::path outer(folder);
  for (const auto& place : {outer, outer / "mnist"}) {
    for (const char* separator : {"-", "."}) {
      for (const char* ending : {"", ".gz"}) {
        const std::filesystem::path path = place / fmt::format("{}{}{}{}", stem, separator, type, ending);
        if (std::filesystem::is_regular_file(path)) return IdxFile(path.string());
      }
    }
  }
  fail("[mnist] found neither {0}-{1} nor {0}.{1}, plain or .gz, in {2} or {2}/mnist", stem, type, folder);
}

int64_t read_count(IdxFile& file, uint32_t magic) {
  const uint32_t found = file.read_number();
  DS_CHECK(found == magic, "[mnist] {}: begins with {:#010x}, expected {:#010x}", file.path(), found, magic);
  return file.read_number();
}

Tensor read_images(IdxFile file) {
  const int64_t count = read_count(file, kImagesMagic);
  const int64_t rows = file.read_number();
  const int64_t columns = file.read_number();
  DS_CHECK(rows == kSide && columns == kSide, "[mnist] {}: images of {} x {}, expected 28 x 28", file.path(),
           rows, columns);
  const std::vector<uint8_t> pixels = file.read(count * kPixels);
  file.expect_end();
  return Tensor::from(pixels, {count, kSide, kSide, 1});
}

Tensor read_labels(IdxFile file) {
  const int64_t count = read_count(file, kLabelsMagic);
  const std::vector<uint8_t> bytes = file.read(count);
  file.expect_end();
  for (size_t i = 0; i < bytes.size(); ++i) {
    DS_CHECK(bytes[i] < 10, "[mnist] {}: label {} is {}, expected one below 10", file.path(), i, bytes[i]);
  }
  return Tensor::from(std::vector<int64_t>(bytes.begin(), bytes.end()), {count});
}

}  // namespace

Normalization mnist_normalization() { return {{0.1307F}, {0.3081F}}; }

Dataset mnist(const std::string& folder, Split split) {
  const std::string stem = split == Split::kTrain ? "train" : "t10k";
  Dataset dataset{read_images(open_any(folder, stem + "-images", "idx3-ubyte")),
                  read_labels(open_any(folder, stem + "-labels", "idx1-ubyte")),
                  {}};
  DS_CHECK(dataset.images.size(0) == dataset.size(),
           "[mnist] {}: {} {} images and {} labels, expected as many", folder, dataset.images.size(0), stem,
           dataset.size());
  for (int digit = 0; digit < 10; ++digit) dataset.classes.push_back(std::to_string(digit));
  return dataset;
}

}  // namespace ds
