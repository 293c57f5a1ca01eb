// The two containers of torch.save: a pickle that speaks of storages, and the storages' bytes.
//
// Zip (PyTorch 1.6 and later): FOLDER/data.pkl, FOLDER/data/KEY for each storage, and FOLDER/byteorder
// ("little") in newer ones; the folder has any name.
//
// Legacy: five pickles one after the other (the number 0x1950a86a20f9469cfc6c, the protocol 1001, a dict
// about the machine that wrote it, the object, a list of the keys of storages), then for each key the number
// of its elements, 8 bytes, and the elements.
#pragma once

#include <map>
#include <string_view>

#include "core/torch_file/pickle.h"
#include "core/torch_file/state_dict.h"
#include "core/torch_file/zip_archive.h"

namespace ds::torch_file {

/// The bytes of a storage, all of them within the file.
struct Storage {
  Piece piece;
  bool checked = false;  // its CRC fits, or the container has none
};

struct Container {
  Pickle pickle;
  std::map<std::string_view, Storage> storages;  // by key; every one that the pickle speaks of
};

bool is_zip(std::string_view bytes);
bool is_legacy(std::string_view bytes);

/// `bytes` are the whole file and are not copied. Throws Error; the file is for the caller to name.
Container open_zip(std::string_view bytes);
Container open_legacy(std::string_view bytes);

}  // namespace ds::torch_file
