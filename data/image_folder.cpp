#include "data/image_folder.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "data/csv.h"

namespace ds {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostClasses = 1 << 20;

/// What a data set is made of before it is one.
struct Listing {
  std::vector<std::string> paths;
  std::vector<int64_t> labels;
  std::vector<std::string> classes;
};

bool is_image(const fs::path& path) {
  static constexpr std::array kEndings = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pgm",
                                          ".ppm", ".pnm",  ".tga", ".psd", ".hdr"};
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(kEndings, ending) != kEndings.end();
}

/// What file managers and notebooks leave behind.
bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// Names of the folders in one, in order.
std::vector<std::string> subfolders(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && !is_hidden(entry.path())) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// Images in a folder and below, in order.
std::vector<std::string> images_below(const fs::path& folder) {
  std::vector<std::string> paths;
  const auto follow = fs::directory_options::follow_directory_symlink;
  fs::recursive_directory_iterator entries(folder, follow);
  for (; entries != fs::recursive_directory_iterator(); ++entries) {
    const fs::path& path = entries->path();
    if (is_hidden(path)) {
      entries.disable_recursion_pending();
    } else if (!entries->is_directory() && is_image(path)) {
      paths.push_back(path.string());
    }
  }
  std::ranges::sort(paths);
  return paths;
}

std::map<std::string, int64_t> positions(const std::vector<std::string>& classes) {
  std::map<std::string, int64_t> result;
  for (const std::string& name : classes) {
    DS_CHECK(result.emplace(name, static_cast<int64_t>(result.size())).second,
             "[image_folder] class '{}' is named twice, expected names that tell classes apart", name);
  }
  return result;
}

int64_t label_of(const std::map<std::string, int64_t>& labels, const std::string& name,
                 const std::string& place) {
  const auto found = labels.find(name);
  if (found != labels.end()) return found->second;
  fail(
      "[image_folder] {}: unknown class '{}', expected one of the {} that the network or the training "
      "images have, {} to {}",
      place, name, labels.size(), labels.begin()->first, labels.rbegin()->first);
}

Listing list_folders(const fs::path& root, const std::vector<std::string>& classes) {
  Listing listing{.paths = {}, .labels = {}, .classes = classes};
  const std::map<std::string, int64_t> labels = positions(classes);
  for (const std::string& name : subfolders(root)) {
    const int64_t label = label_of(labels, name, root.string());
    const std::vector<std::string> images = images_below(root / name);
    DS_CHECK(!images.empty(), "[image_folder] {}: no images, expected files such as *.jpg or *.png",
             (root / name).string());
    listing.paths.insert(listing.paths.end(), images.begin(), images.end());
    listing.labels.insert(listing.labels.end(), images.size(), label);
  }
  return listing;
}

std::string find_file(const fs::path& root, const CsvTable& table, int64_t row) {
  const std::string& file = table.cell(row, "file");
  for (const fs::path& path : {root / file, root / "images" / file}) {
    if (fs::exists(path)) return path.string();
  }
  fail("[image_folder] {}: {} is neither in {} nor in {}", table.place(row), file, root.string(),
       (root / "images").string());
}

/// The classes that a table names by index; in between "class N".
std::vector<std::string> classes_of(const CsvTable& table) {
  std::vector<std::string> classes;
  const char* column = table.has("wnid") ? "wnid" : "class_name";
  for (int64_t row = 0; row < table.rows(); ++row) {
    const int64_t index = table.integer(row, "class_index", 0, kMostClasses);
    name_further_classes(classes, index + 1);
    if (table.has(column)) classes[static_cast<size_t>(index)] = table.cell(row, column);
  }
  return classes;
}

Listing list_table(const fs::path& root, const std::vector<std::string>& classes) {
  const CsvTable table((root / "labels.csv").string());
  Listing listing{.paths = {}, .labels = {}, .classes = classes.empty() ? classes_of(table) : classes};
  const bool by_name = !classes.empty() && table.has("wnid");  // names in words need not tell classes apart
  const std::map<std::string, int64_t> labels =
      by_name ? positions(classes) : std::map<std::string, int64_t>();
  const auto last = static_cast<int64_t>(listing.classes.size()) - 1;
  for (int64_t row = 0; row < table.rows(); ++row) {
    listing.paths.push_back(find_file(root, table, row));
    listing.labels.push_back(by_name ? label_of(labels, table.cell(row, "wnid"), table.place(row))
                                     : table.integer(row, "class_index", 0, last));
  }
  return listing;
}

/// DIR/train or DIR/val; DIR itself when it holds a table and no such folder.
fs::path root_of(const std::string& folder, Split split) {
  DS_CHECK(fs::is_directory(folder), "[image_folder] {}: not a folder", folder);
  fs::path part = fs::path(folder) / (split == Split::kTrain ? "train" : "val");
  if (fs::is_directory(part)) return part;
  DS_CHECK(
      fs::exists(fs::path(folder) / "labels.csv"),
      "[image_folder] {}: neither a folder {} nor a file labels.csv in it; expected train/<class>/*.jpg and "
      "val/<class>/*.jpg, or labels.csv",
      folder, part.filename().string());
  return folder;
}

Listing list(const std::string& folder, Split split, const ImageFolderOptions& options) {
  const fs::path root = root_of(folder, split);
  const int64_t expected = options.class_count;
  if (fs::exists(root / "labels.csv")) {
    Listing listing = list_table(root, options.classes);
    const auto found = static_cast<int64_t>(listing.classes.size());
    DS_CHECK(expected == 0 || found <= expected,
             "[image_folder] {}: class indices up to {}, expected less than {}",
             (root / "labels.csv").string(), found - 1, expected);
    return listing;
  }
  if (!options.classes.empty()) return list_folders(root, options.classes);
  const fs::path train = fs::path(folder) / "train";
  const fs::path& naming = fs::is_directory(train) ? train : root;
  const std::vector<std::string> classes = subfolders(naming);
  DS_CHECK(!classes.empty(), "[image_folder] {}: no folders, expected one a class", naming.string());
  DS_CHECK(
      expected == 0 || static_cast<int64_t>(classes.size()) == expected,
      "[image_folder] {}: {} folders, expected {}, one a class of the network (or the names of its classes, "
      "which say which folder is which)",
      folder, classes.size(), expected);
  return list_folders(root, classes);
}

}  // namespace

void name_further_classes(std::vector<std::string>& names, int64_t count) {
  for (auto label = static_cast<int64_t>(names.size()); label < count; ++label)
    names.push_back(fmt::format("class {}", label));
}

Dataset image_folder(const std::string& folder, Split split, const ImageFolderOptions& options) {
  Listing listing;
  try {
    listing = list(folder, split, options);
  } catch (const fs::filesystem_error& error) {
    fail("[image_folder] {}: {}", folder, error.what());
  }
  DS_CHECK(!listing.paths.empty(), "[image_folder] {}: no images", root_of(folder, split).string());
  return {{},
          Tensor::from(listing.labels, {static_cast<int64_t>(listing.labels.size())}),
          std::move(listing.classes),
          std::make_shared<ImageFiles>(std::move(listing.paths), options.framing, options.strict)};
}

std::vector<ClassName> read_class_names(const std::string& path) {
  const CsvTable table(path);
  std::vector<ClassName> names(static_cast<size_t>(table.rows()));
  for (int64_t row = 0; row < table.rows(); ++row) {
    ClassName& name = names[static_cast<size_t>(table.integer(row, "class_index", 0, table.rows() - 1))];
    DS_CHECK(name.id.empty(), "[csv] {}: class_index {} stands there twice", table.place(row),
             table.cell(row, "class_index"));
    name = {.id = table.cell(row, "wnid"), .words = table.cell(row, "class_name")};
    DS_CHECK(!name.id.empty(), "[csv] {}: no wnid", table.place(row));
  }
  return names;
}

}  // namespace ds
