#include "data/csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "core/error.h"

namespace ds {
namespace {

/// The cells of a line; a cell in quotes may hold commas, and quotes doubled.
std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      cells.back() += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

/// Without the mark of UTF-8 that spreadsheets write before the first line.
std::string without_mark(const std::string& path, const std::string& first_line) {
  DS_CHECK(!first_line.starts_with("\xFF\xFE") && !first_line.starts_with("\xFE\xFF"),
           "[csv] {}: UTF-16, expected UTF-8", path);
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return first_line.starts_with(kMark) ? first_line.substr(kMark.size()) : first_line;
}

}  // namespace

CsvTable::CsvTable(const std::string& path) : path_(path) {
  std::ifstream file(path);
  DS_CHECK(file.good(), "[csv] {}: cannot be read", path);
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (number == 1) line = without_mark(path, line);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    std::vector<std::string> cells = split(line);
    if (heading_.empty()) {
      heading_ = std::move(cells);
      continue;
    }
    DS_CHECK(cells.size() == heading_.size(), "[csv] {}, line {}: {} cells, expected {}: {}", path, number,
             cells.size(), heading_.size(), fmt::join(heading_, ", "));
    rows_.push_back({number, std::move(cells)});
  }
  DS_CHECK(!heading_.empty(), "[csv] {}: empty, expected a heading", path);
}

bool CsvTable::has(const std::string& column) const {
  return std::ranges::find(heading_, column) != heading_.end();
}

const std::string& CsvTable::cell(int64_t row, const std::string& column) const {
  const auto found = std::ranges::find(heading_, column);
  DS_CHECK(found != heading_.end(), "[csv] {}: no column {}, found {}", path_, column,
           fmt::join(heading_, ", "));
  return rows_[static_cast<size_t>(row)].cells[static_cast<size_t>(found - heading_.begin())];
}

int64_t CsvTable::integer(int64_t row, const std::string& column, int64_t low, int64_t high) const {
  const std::string& text = cell(row, column);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  DS_CHECK(error == std::errc() && end == text.data() + text.size() && low <= value && value <= high,
           "[csv] {}: {} is '{}', expected a whole number from {} to {}", place(row), column, text, low,
           high);
  return value;
}

std::string CsvTable::place(int64_t row) const {
  return fmt::format("{}, line {}", path_, rows_[static_cast<size_t>(row)].line);
}

}  // namespace ds
