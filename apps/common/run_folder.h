// The output folder of a run.
//
//   config.json        every option, versions, machine; of the latest start
//   metrics.jsonl      a line for every finished epoch
//   last.safetensors   the training checkpoint to resume from
//   best.safetensors   the model of the chosen epoch
//   summary.json       the result, written at the end
//   curves.svg         loss and accuracy over epochs, written after each
//
// Every file is replaced as a whole. While a RunFolder lives, no other process can hold the same folder.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/atomic_file.h"

namespace ds::apps {

class RunFolder {
 public:
  /// Makes the folder. Throws Error when it cannot be written, or holds a run already.
  static RunFolder create(const std::string& path);
  /// Opens the folder of a run that was started, and clears away what a killed process left half-written of
  /// the files above. Throws Error when there is no run in it or another process is using it.
  static RunFolder open(const std::string& path);

  std::string config() const { return path_ + "/config.json"; }
  std::string metrics() const { return path_ + "/metrics.jsonl"; }
  std::string last() const { return path_ + "/last.safetensors"; }
  std::string best() const { return path_ + "/best.safetensors"; }
  std::string summary() const { return path_ + "/summary.json"; }
  std::string curves() const { return path_ + "/curves.svg"; }
  const std::string& path() const { return path_; }

 private:
  explicit RunFolder(std::string path);
  bool is_half_written(const std::filesystem::path& file) const;

  std::string path_;
  std::unique_ptr<FileDescriptor> lock_;
};

/// Throws Error naming the file when it cannot be read or is not JSON.
nlohmann::json read_json(const std::string& path);
void write_json(const std::string& path, const nlohmann::ordered_json& json);

}  // namespace ds::apps
