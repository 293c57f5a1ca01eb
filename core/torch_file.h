// PyTorch's files of tensors, as torch.save(model.state_dict(), "x.pth") writes them, read without PyTorch.
//
// Both containers are read: the zip archive of PyTorch 1.6 and later, and the one before. A file holds a
// state dict, or a dict with one under "state_dict", "model", "model_state_dict" or "net" (a checkpoint, of
// which the rest is left out).
//
// Nothing in the file is executed and nothing is trusted: such files are programs, and only those that make
// tensors of numbers are understood. Memory is bounded by the file's size: the tensors may take together four
// times the file's bytes, or 1 MiB more (views that share elements, elements repeated by a stride of 0, and
// f16 are written out); what the file says of them takes some hundred times the bytes that say it. Tensors
// are read one by one, so that of a large file only the largest of them need be in memory.
//
// Element types are kept, except f16, which becomes f32, and bool, which becomes u8. Complex, quantised and
// sparse tensors are refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace ds {

/// True for both containers, by their first bytes.
bool is_torch_file(std::string_view bytes);

/// An open file, mapped. Throws Error naming the file, what was found and what was expected.
class TorchFile {
 public:
  explicit TorchFile(const std::string& path);
  ~TorchFile();
  TorchFile(const TorchFile&) = delete;
  TorchFile& operator=(const TorchFile&) = delete;

  /// In the order of the state dict.
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  /// What was left out or renamed, a sentence each.
  const std::vector<std::string>& notes() const;
  /// A copy of tensor number `index` in row-major order. The first one of a storage checks its checksum.
  Tensor read(size_t index);

 private:
  struct Content;
  std::string path_;
  std::unique_ptr<Content> content_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace ds
