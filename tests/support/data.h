// Real data for tests: where it is, and how a test skips when it is not.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace ds::test {

/// Folder of unpacked data sets (cifar-10-batches-bin/, mnist/), from DEEPSHIFT_TEST_DATA; empty when unset.
inline std::string data_folder() {
  const char* folder = std::getenv("DEEPSHIFT_TEST_DATA");
  return folder == nullptr ? "" : folder;
}

/// Folder of pretrained weights (*.safetensors), from DEEPSHIFT_TEST_WEIGHTS; empty when unset.
inline std::string weights_folder() {
  const char* folder = std::getenv("DEEPSHIFT_TEST_WEIGHTS");
  return folder == nullptr ? "" : folder;
}

/// Folder of photographs (*.JPEG), from DEEPSHIFT_TEST_PHOTOGRAPHS; empty when unset.
inline std::string photographs_folder() {
  const char* folder = std::getenv("DEEPSHIFT_TEST_PHOTOGRAPHS");
  return folder == nullptr ? "" : folder;
}

/// A fixture of tests/fixtures/.
inline std::string fixture(const std::string& name) {
  return std::string(DEEPSHIFT_TESTS_DIR) + "/fixtures/" + name;
}

}  // namespace ds::test

/// Skips the test, with the reason, unless the file or folder is there.
#define DS_REQUIRE_DATA(path)         \
  if (!std::filesystem::exists(path)) \
  GTEST_SKIP() << "needs " << (path) << ", see tools/test.sh for how real data is found"
