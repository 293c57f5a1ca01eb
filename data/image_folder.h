// Photographs in folders, as ImageNet's.
//
// Either a folder a class, DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg, or a table, DIR/labels.csv (or
// DIR/train/labels.csv and DIR/val/labels.csv) with the columns file and class_index, and perhaps wnid and
// class_name; the files lie beside it or in images/. Without train and val the table's images serve for both.
// Files and folders whose names begin with a dot are passed over.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace ds {

/// A class by the name of its folder (for ImageNet its wnid, "n01440764") and in words ("tench").
struct ClassName {
  std::string id;
  std::string words;

  /// The words where there are some.
  const std::string& shown() const { return words.empty() ? id : words; }
};

/// Adds "class 7" and so on until there are `count` names.
void name_further_classes(std::vector<std::string>& names, int64_t count);

struct ImageFolderOptions {
  Framing framing = {};
  bool strict = false;                    // an image that cannot be read is an error
  std::vector<std::string> classes = {};  // folder names (wnids) by label; empty: those of DIR/train in order
  int64_t class_count = 0;                // labels must be below it, and folders as many; 0: any
};

/// Throws Error naming the folder, file or line: when there are no images, a class holds none, is unknown, or
/// a file of the table does not exist.
Dataset image_folder(const std::string& folder, Split split, const ImageFolderOptions& options = {});

/// The classes in a table with the columns class_index, wnid and class_name, by index; rows in any order,
/// none twice and none left out. Throws Error naming file and line.
std::vector<ClassName> read_class_names(const std::string& path);

}  // namespace ds
