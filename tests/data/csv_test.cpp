#include "data/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/support/photographs.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using ::testing::HasSubstr;

class Csv : public ::testing::Test {
 protected:
  CsvTable read(const std::string& text) const {
    test::write_text(path_, text);
    return CsvTable(path_);
  }
  std::string error_of(const std::string& text) const {
    try {
      read(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
  std::string path_ = folder_ / "table.csv";
};

TEST_F(Csv, ReadsQuotedCellsAndBothLineEnds) {
  const CsvTable table = read("file,name\r\na.jpg,\"crane, the \"\"bird\"\"\"\r\n\nb.jpg,\n");
  ASSERT_EQ(table.rows(), 2);
  EXPECT_EQ(table.cell(0, "name"), "crane, the \"bird\"");
  EXPECT_EQ(table.cell(1, "file"), "b.jpg");
  EXPECT_EQ(table.cell(1, "name"), "");
  EXPECT_TRUE(table.has("name"));
  EXPECT_FALSE(table.has("label"));
  EXPECT_THAT(table.place(1), HasSubstr("table.csv, line 4"));
}

TEST_F(Csv, PassesOverTheMarkOfSpreadsheets) {
  EXPECT_TRUE(read("\xEF\xBB\xBF"
                   "file,name\na,b\n")
                  .has("file"));
  EXPECT_THAT(error_of("\xFF\xFE"
                       "f"),
              HasSubstr("UTF-16, expected UTF-8"));
}

TEST_F(Csv, NamesWhatIsWrongAndWhere) {
  EXPECT_THAT(error_of(""), HasSubstr("empty, expected a heading"));
  EXPECT_THAT(error_of("a,b\n1,2\n3\n"), HasSubstr("line 3: 1 cells, expected 2: a, b"));
  const CsvTable table = read("index\n7\nseven\n");
  EXPECT_EQ(table.integer(0, "index", 0, 7), 7);
  EXPECT_THROW(table.integer(0, "index", 0, 6), Error);
  EXPECT_THROW(table.integer(1, "index", 0, 9), Error);
  EXPECT_THROW(table.cell(0, "label"), Error);
  EXPECT_THROW(CsvTable(folder_ / "nothing.csv"), Error);
}

}  // namespace
}  // namespace ds
