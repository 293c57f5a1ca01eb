// What a pickle of torch.save says of tensors and storages: names, types, shapes, strides, and where they
// lie. Throws Error that says what was found and what was expected; the file is for the caller to name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "core/torch_file/pickle.h"

namespace ds::torch_file {

/// One of PyTorch's classes of storages. Elements that no Tensor has are widened: f16 to f32, bool to u8.
struct StorageType {
  std::string_view name;  // "torch.HalfStorage"
  size_t element_bytes;
  DType dtype;  // of the tensors made of it
};

/// A run of elements, shared by tensors; a container holds its bytes under its key.
struct StorageId {
  const StorageType* type = nullptr;
  std::string_view key = {};
  int64_t elements = 0;
};

/// Element (i, j, ...) is number offset + i strides[0] + j strides[1] + ... of the storage; all are within
/// it.
struct StridedTensor {
  TensorSpec spec;
  StorageId storage;
  int64_t offset = 0;
  std::vector<int64_t> strides = {};
};

struct StateDict {
  std::vector<StridedTensor> tensors;  // in the order of the file
  std::vector<std::string> notes;      // what was left out or renamed
};

/// The globals that such pickles need.
std::span<const std::string_view> known_globals();

/// Every storage that the pickle speaks of.
std::vector<StorageId> storage_ids(const Pickle& pickle);

/// The tensors of a state dict, which is the whole pickle or under "state_dict", "model", "model_state_dict"
/// or "net" of a dict. A "module." before all names (DataParallel) is stripped.
StateDict read_state_dict(const Pickle& pickle);

}  // namespace ds::torch_file
