#include "core/torch_file.h"

#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/torch_file/containers.h"

namespace ds {

namespace {

using torch_file::StridedTensor;

constexpr std::string_view kOperation = "torch_file";
constexpr uint64_t kMostGrowth = 4;       // bytes of all tensors, for each of the file
constexpr uint64_t kSmall = 1024 * 1024;  // and so many more

torch_file::Container open_container(std::string_view bytes) {
  if (torch_file::is_zip(bytes)) return torch_file::open_zip(bytes);
  DS_CHECK(torch_file::is_legacy(bytes),
           "is no file of torch.save: it begins as neither of the two kinds does");
  return torch_file::open_legacy(bytes);
}

void check_size(const std::vector<StridedTensor>& tensors, uint64_t file_bytes) {
  const uint64_t most = kMostGrowth * file_bytes + kSmall;
  uint64_t total = 0;
  for (const StridedTensor& tensor : tensors) {
    uint64_t bytes = 0;
    const bool overflow = __builtin_mul_overflow(static_cast<uint64_t>(tensor.spec.shape.numel()),
                                                 size_of(tensor.spec.dtype), &bytes) ||
                          __builtin_add_overflow(total, bytes, &total);
    DS_CHECK(!overflow && total <= most,
             "tensor '{}' of size {}: with those before it, it takes more than {} bytes, {} for each of the "
             "file: expected tensors that share fewer elements",
             tensor.spec.name, tensor.spec.shape.str(), most, kMostGrowth);
  }
}

/// IEEE 754 binary16. Its exponent is 112 smaller than float's for the same bits; infinities and NaN keep all
/// bits of theirs.
float half_to_float(uint16_t half) {
  const auto sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const auto rest = static_cast<uint32_t>(half & 0x7fffU) << 13;
  const bool finite = (half & 0x7c00U) != 0x7c00U;
  const uint32_t magnitude =
      finite ? std::bit_cast<uint32_t>(std::bit_cast<float>(rest) * 0x1p112F) : rest | 0x7f800000U;
  return std::bit_cast<float>(sign | magnitude);
}

bool is_contiguous(const StridedTensor& tensor) {
  int64_t expected = 1;
  for (int axis = tensor.spec.shape.rank() - 1; axis >= 0; --axis) {
    const int64_t size = tensor.spec.shape[axis];
    if (size != 1 && tensor.strides[static_cast<size_t>(axis)] != expected) return false;
    expected *= size;
  }
  return true;
}

/// Calls visit(index of the element in the storage) for all elements in row-major order.
template <class Visit>
void for_each_element(const StridedTensor& tensor, Visit visit) {
  const Shape& shape = tensor.spec.shape;
  std::array<int64_t, Shape::kMaxRank> at{};
  int64_t element = tensor.offset;
  for (int64_t left = shape.numel(); left > 0; --left) {
    visit(element);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      const auto a = static_cast<size_t>(axis);
      element += tensor.strides[a];
      if (++at[a] < shape[axis]) break;
      element -= tensor.strides[a] * shape[axis];
      at[a] = 0;
    }
  }
}

/// The elements as they are stored, in row-major order.
void gather(const StridedTensor& tensor, const char* storage, char* out) {
  const size_t width = tensor.storage.type->element_bytes;
  const auto count = static_cast<size_t>(tensor.spec.shape.numel());
  if (count == 0) return;  // its other sizes and its strides may be anything
  if (is_contiguous(tensor)) {
    std::memcpy(out, storage + static_cast<size_t>(tensor.offset) * width, count * width);
    return;
  }
  for_each_element(tensor, [&](int64_t element) {
    std::memcpy(out, storage + static_cast<size_t>(element) * width, width);
    out += width;
  });
}

/// Turns the f16 in the first half of the tensor's memory into f32, from the last to the first.
void widen(Tensor& tensor) {
  auto* values = tensor.data<float>();
  const auto* bytes = static_cast<const char*>(tensor.raw());
  for (int64_t i = tensor.numel() - 1; i >= 0; --i) {
    uint16_t half = 0;
    std::memcpy(&half, bytes + i * static_cast<int64_t>(sizeof half), sizeof half);
    values[i] = half_to_float(half);
  }
}

}  // namespace

struct TorchFile::Content {
  explicit Content(const std::string& path) : file(path, kOperation) {
    try {
      container = open_container(file.bytes());
      state = torch_file::read_state_dict(container->pickle);
      check_size(state.tensors, file.bytes().size());
    } catch (const Error& error) {
      fail("[{}] {}: {}", kOperation, path, error.what());
    }
  }

  MappedFile file;
  std::optional<torch_file::Container> container;
  torch_file::StateDict state;
};

bool is_torch_file(std::string_view bytes) {
  return torch_file::is_zip(bytes) || torch_file::is_legacy(bytes);
}

TorchFile::TorchFile(const std::string& path) : path_(path), content_(std::make_unique<Content>(path)) {
  for (const StridedTensor& tensor : content_->state.tensors) tensors_.push_back(tensor.spec);
}

TorchFile::~TorchFile() = default;

const std::vector<std::string>& TorchFile::notes() const { return content_->state.notes; }

Tensor TorchFile::read(size_t index) {
  DS_CHECK(index < tensors_.size(), "[{}] {}: has no tensor {} of {}", kOperation, path_, index,
           tensors_.size());
  const StridedTensor& tensor = content_->state.tensors[index];
  torch_file::Storage& storage = content_->container->storages.at(tensor.storage.key);
  if (!storage.checked) {
    check_crc(storage.piece, fmt::format("[{}] {}: storage '{}'", kOperation, path_, tensor.storage.key));
    storage.checked = true;
  }
  Tensor result = Tensor::empty(tensor.spec.shape, tensor.spec.dtype);
  gather(tensor, storage.piece.bytes.data(), static_cast<char*>(result.raw()));
  if (tensor.storage.type->element_bytes < size_of(result.dtype())) widen(result);
  return result;
}

}  // namespace ds
