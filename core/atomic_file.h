// Files that are written whole or not at all: a temporary file in the same folder, fsync, rename, fsync of
// the folder. Of a link, it is the file it leads to, in that file's folder.
//
// Whoever opens the path sees the old content or the new one, also
// after a crash; nothing is left behind but, by a crash, a file "<path>.<process>.<number>.part". What is
// there and is no regular file stays. Throws Error naming the file and the system's reason.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

namespace ds {

/// An open file descriptor, closed at the end of its scope.
class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int number() const { return number_; }
  bool valid() const { return number_ >= 0; }
  /// Closes now; false, with errno set, when the system reports a late error.
  bool close();

 private:
  int number_;
};

/// A new file that takes the place of `path` when commit() succeeds; otherwise it disappears.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void commit();

 private:
  void check(bool success, const char* what) const;

  std::string path_;
  std::string part_;                           // name of the temporary file
  std::atomic<const char*>* noted_ = nullptr;  // where a signal's handler finds that name
  FileDescriptor file_;
  bool committed_ = false;
};

/// Before work whose result is to be written: throws Error where no such file can be made.
void check_can_be_written(const std::string& path);

/// Removes what unfinished AtomicFiles have written so far; for handlers of signals that end the process.
void remove_unfinished_files() noexcept;

void write_file_atomically(const std::string& path, std::string_view content);
void copy_file_atomically(const std::string& from, const std::string& to);

}  // namespace ds
