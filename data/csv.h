// Tables of comma-separated values (RFC 4180) with a heading.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ds {

class CsvTable {
 public:
  /// Reads a file. Throws Error naming file and line when a row has other cells than the heading.
  explicit CsvTable(const std::string& path);

  int64_t rows() const { return static_cast<int64_t>(rows_.size()); }
  bool has(const std::string& column) const;
  /// Throws Error that lists the columns when there is no such one.
  const std::string& cell(int64_t row, const std::string& column) const;
  /// Throws Error unless it is a whole number in [low, high].
  int64_t integer(int64_t row, const std::string& column, int64_t low, int64_t high) const;
  /// "labels.csv, line 3", for messages.
  std::string place(int64_t row) const;

 private:
  struct Row {
    int64_t line = 0;
    std::vector<std::string> cells;
  };

  std::string path_;
  std::vector<std::string> heading_;
  std::vector<Row> rows_;
};

}  // namespace ds
