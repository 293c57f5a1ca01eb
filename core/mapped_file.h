// A file's bytes, mapped for reading: nothing is copied, and pages are read when they are looked at.
//
// A file that is written anew by a rename keeps its old content here; only a program that shortens the file
// in place ends a reader.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ds {

class MappedFile {
 public:
  /// Throws Error that begins with the operation's name and says the path and the system's reason.
  MappedFile(const std::string& path, std::string_view operation);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ds
