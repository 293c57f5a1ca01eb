#include "apps/common/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/error.h"

namespace ds::apps {

namespace fs = std::filesystem;

RunFolder::RunFolder(std::string path)
    : path_(std::move(path)),
      lock_(std::make_unique<FileDescriptor>(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))) {
  DS_CHECK(lock_->valid(), "[output] folder '{}' cannot be opened: {}", path_, std::strerror(errno));
  DS_CHECK(::flock(lock_->number(), LOCK_EX | LOCK_NB) == 0,
           "[output] folder '{}' is in use by another process", path_);
  DS_CHECK(::access(path_.c_str(), W_OK | X_OK) == 0, "[output] folder '{}' cannot be written: {}", path_,
           std::strerror(errno));
}

bool RunFolder::is_half_written(const fs::path& file) const {
  if (file.extension() != ".part") return false;
  const std::string name = file.filename().string();
  for (const std::string& ours : {config(), metrics(), last(), best(), summary(), curves()}) {
    if (name.starts_with(fs::path(ours).filename().string() + ".")) return true;
  }
  return false;
}

RunFolder RunFolder::create(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  DS_CHECK(!error, "[output] folder '{}' cannot be made: {}", path, error.message());
  RunFolder folder(path);
  // A configuration alone is that of a run that saved nothing: it is in nobody's way.
  for (const auto& file : {folder.metrics(), folder.last(), folder.best(), folder.summary()}) {
    DS_CHECK(!fs::exists(file),
             "[output] folder '{}' holds a run already ({}): continue it with --resume, or choose another "
             "folder with --output",
             path, fs::path(file).filename().string());
  }
  return folder;
}

RunFolder RunFolder::open(const std::string& path) {
  DS_CHECK(fs::exists(path + "/config.json"), "[resume] no run in '{}': config.json not found", path);
  RunFolder folder(path);
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    if (entry.is_regular_file() && folder.is_half_written(entry.path())) leftovers.push_back(entry.path());
  }
  for (const fs::path& file : leftovers) fs::remove(file);
  return folder;
}

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  DS_CHECK(file.good(), "[read] {}: cannot be opened: {}", path, std::strerror(errno));
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    fail("[read] {}: not JSON: {}", path, error.what());
  }
}

void write_json(const std::string& path, const nlohmann::ordered_json& json) {
  std::string text;
  try {
    text = json.dump(2);
  } catch (const nlohmann::json::exception& error) {  // a path that is not UTF-8
    fail("[write] {}: {}", path, error.what());
  }
  write_file_atomically(path, text + "\n");
}

}  // namespace ds::apps
