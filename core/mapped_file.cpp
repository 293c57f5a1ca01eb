#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "core/atomic_file.h"
#include "core/error.h"

namespace ds {

MappedFile::MappedFile(const std::string& path, std::string_view operation) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  DS_CHECK(file.valid(), "[{}] {}: cannot be opened: {}", operation, path, std::strerror(errno));
  struct stat status = {};
  DS_CHECK(::fstat(file.number(), &status) == 0, "[{}] {}: {}", operation, path, std::strerror(errno));
  DS_CHECK(S_ISREG(status.st_mode), "[{}] {}: is not a file", operation, path);
  if (status.st_size == 0) return;  // the system maps no empty files
  size_ = static_cast<size_t>(status.st_size);
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
  DS_CHECK(address != MAP_FAILED, "[{}] {}: cannot be mapped: {}", operation, path, std::strerror(errno));
  data_ = static_cast<const char*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

}  // namespace ds
