// Little-endian numbers and pieces from the bytes of a file, never past their end.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace ds::torch_file {

static_assert(std::endian::native == std::endian::little, "the files are little-endian, and so is this code");

class ByteReader {
 public:
  /// `where` names the bytes in errors: "'archive/data.pkl'". The bytes are not copied, and neither is what
  /// take() gives.
  ByteReader(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  /// The next bytes. Throws Error when fewer are left.
  std::string_view take(uint64_t count) {
    DS_CHECK(count <= left(), "{}: {} bytes are expected at byte {}, and {} are left", where_, count,
             position_, left());
    const std::string_view piece = bytes_.substr(position_, count);
    position_ += count;
    return piece;
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  /// The bytes up to the next newline, which is passed over.
  std::string_view line() {
    const size_t end = bytes_.find('\n', position_);
    DS_CHECK(end != std::string_view::npos, "{}: a line begins at byte {} and does not end", where_,
             position_);
    const std::string_view text = take(end - position_);
    take(1);
    return text;
  }

 private:
  std::string_view bytes_;
  std::string where_;
  size_t position_ = 0;
};

}  // namespace ds::torch_file
