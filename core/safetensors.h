// The safetensors file format: an 8-byte little-endian header length, a JSON header, raw little-endian
// tensors.
//
// Reading maps the file and trusts nothing: header length, JSON, every type, shape and offset are checked
// against the file's size. Writing is atomic (core/atomic_file.h). So a file that is written anew while it is
// open here keeps its old content here (core/mapped_file.h).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/tensor.h"

namespace ds {

using Metadata = std::map<std::string, std::string>;

/// What the header says of one tensor.
struct TensorEntry {
  DType dtype = DType::kF32;
  Shape shape;
  size_t begin = 0;  // bytes from the start of the data section
  size_t end = 0;
};

/// An open file. Throws Error naming the file, the offset or tensor, what was found and what was expected.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return path_; }
  const Metadata& metadata() const { return metadata_; }
  /// Names in order of their data.
  std::vector<std::string> names() const;
  std::vector<TensorSpec> tensors() const;
  bool contains(const std::string& name) const { return entries_.contains(name); }
  const TensorEntry& entry(const std::string& name) const;
  /// A CPU copy of one tensor.
  Tensor read(const std::string& name) const;

 private:
  std::string path_;
  MappedFile file_;
  size_t data_offset_ = 0;
  Metadata metadata_;
  std::map<std::string, TensorEntry> entries_;
};

struct NamedTensor {
  std::string name;
  Tensor value;
};

/// Writes the tensors in the order given. Throws Error, with the old file untouched, when anything fails.
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const Metadata& metadata = {});
/// The same, with the values asked for one after the other, so that they need not be in memory together.
void write_safetensors(const std::string& path, const std::vector<TensorSpec>& tensors,
                       const std::function<Tensor(size_t)>& value, const Metadata& metadata = {});

}  // namespace ds
