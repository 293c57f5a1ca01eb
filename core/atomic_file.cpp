#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/error.h"

namespace ds {
namespace {

/// What a link leads to, whether it is there or not: it is that file that is to be replaced, not the link.
std::string behind_links(const std::string& path) {
  constexpr int kMostLinks = 40;  // as the system follows
  std::filesystem::path target = path;
  std::error_code unknown;
  for (int i = 0; i < kMostLinks && std::filesystem::is_symlink(target, unknown); ++i) {
    const std::filesystem::path next = std::filesystem::read_symlink(target, unknown);
    target = target.parent_path() / next;  // an absolute one stands for itself
  }
  DS_CHECK(!std::filesystem::is_symlink(target, unknown), "[write] {}: its links lead nowhere", path);
  return target.string();
}

/// A device or a folder must not be replaced by a file.
std::string checked_target(const std::string& path) {
  DS_CHECK(!path.empty(), "[write] the file has no name");
  std::error_code unknown;
  const std::filesystem::file_status status = std::filesystem::status(path, unknown);
  DS_CHECK(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status),
           "[write] {}: is there already and is no regular file", path);
  return behind_links(path);
}

/// Creates a file that was not there and stores its name; -1, with errno set, when that fails.
int create_beside(const std::string& path, std::string& name) {
  static std::atomic<int> counter = 0;
  int number = -1;
  do {
    name = fmt::format("{}.{}.{}.part", path, ::getpid(), counter++);
    number = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (number < 0 && (errno == EEXIST || errno == EINTR));
  return number;
}

std::array<std::atomic<const char*>, 16> g_unfinished = {};  // names of temporary files

/// Notes a name while there is room.
std::atomic<const char*>* note(const char* name) {
  for (std::atomic<const char*>& place : g_unfinished) {
    const char* expected = nullptr;
    if (place.compare_exchange_strong(expected, name)) return &place;
  }
  return nullptr;
}

}  // namespace

FileDescriptor::~FileDescriptor() { close(); }

bool FileDescriptor::close() { return !valid() || ::close(std::exchange(number_, -1)) == 0; }

AtomicFile::AtomicFile(const std::string& path)
    : path_(checked_target(path)), file_(create_beside(path, part_)) {
  check(file_.valid(), "cannot be created");
  noted_ = note(part_.c_str());
}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(part_.c_str());
  if (noted_ != nullptr) *noted_ = nullptr;
}

void AtomicFile::check(bool success, const char* what) const {
  if (!success) fail("[write] {}: {}: {}", path_, what, std::strerror(errno));
}

void AtomicFile::write(const void* data, size_t bytes) {
  const auto* rest = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(file_.number(), rest, bytes);
    if (written < 0 && errno == EINTR) continue;
    check(written >= 0, "cannot be written");
    rest += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  check(::fsync(file_.number()) == 0, "cannot be flushed");
  check(file_.close(), "cannot be closed");
  check(::rename(part_.c_str(), path_.c_str()) == 0, "cannot be renamed into place");
  committed_ = true;
  if (noted_ != nullptr) *std::exchange(noted_, nullptr) = nullptr;
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  const FileDescriptor handle(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: a file system that has no use for it.
  check(handle.valid() && (::fsync(handle.number()) == 0 || errno == EINVAL), "its folder cannot be flushed");
}

void check_can_be_written(const std::string& path) { const AtomicFile writable(path); }

void remove_unfinished_files() noexcept {
  for (const std::atomic<const char*>& place : g_unfinished) {
    if (const char* name = place) ::unlink(name);
  }
}

void write_file_atomically(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content.data(), content.size());
  file.commit();
}

void copy_file_atomically(const std::string& from, const std::string& to) {
  const FileDescriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  DS_CHECK(source.valid(), "[read] {}: cannot be opened: {}", from, std::strerror(errno));
  AtomicFile file(to);
  std::vector<char> piece(1 << 20);
  while (true) {
    const ssize_t bytes = ::read(source.number(), piece.data(), piece.size());
    if (bytes < 0 && errno == EINTR) continue;
    DS_CHECK(bytes >= 0, "[read] {}: {}", from, std::strerror(errno));
    if (bytes == 0) break;
    file.write(piece.data(), static_cast<size_t>(bytes));
  }
  file.commit();
}

}  // namespace ds
