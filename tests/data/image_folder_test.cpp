#include "data/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/support/photographs.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::write_photograph;
using test::write_text;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class ImageFolder : public ::testing::Test {
 protected:
  void photograph(const std::string& name) const { write_photograph(folder_ / name, 40, 30, 100); }
  /// Two classes of training images, of which one has a test image.
  void write_classes() const {
    photograph("train/n02/b.ppm");
    photograph("train/n02/below/a.PPM");
    photograph("train/n01/c.ppm");
    write_text(folder_ / "train/n01/notes.txt", "no image");
    photograph("val/n02/d.ppm");
  }
  std::string error_of(Split split, const ImageFolderOptions& options = {}) const {
    try {
      image_folder(folder_.path(), split, options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
};

TEST_F(ImageFolder, LabelsByTheOrderOfTheTrainingFolders) {
  write_classes();
  const Dataset train = image_folder(folder_.path(), Split::kTrain, {.framing = {20, 24}});
  EXPECT_THAT(train.classes, ElementsAre("n01", "n02"));
  EXPECT_THAT(train.labels.to_vector<int64_t>(), ElementsAre(0, 1, 1));
  EXPECT_THAT(train.files->path(0), EndsWith("n01/c.ppm"));
  EXPECT_THAT(train.files->path(2), EndsWith("n02/below/a.PPM"));
  EXPECT_EQ(train.image_shape(), Shape({20, 20, 3}));
  const Dataset test = image_folder(folder_.path(), Split::kTest);
  EXPECT_THAT(test.labels.to_vector<int64_t>(), ElementsAre(1));
}

TEST_F(ImageFolder, PassesOverWhatIsHidden) {
  write_classes();
  photograph("train/.checkpoints/n01/c.ppm");
  photograph("train/n01/.checkpoints/c.ppm");
  photograph("train/n01/._c.ppm");
  const Dataset train = image_folder(folder_.path(), Split::kTrain);
  EXPECT_THAT(train.classes, ElementsAre("n01", "n02"));
  EXPECT_EQ(train.size(), 3);
}

TEST_F(ImageFolder, TakesTheOrderOfANetwork) {
  write_classes();
  const Dataset train = image_folder(folder_.path(), Split::kTrain, {.classes = {"n02", "n00", "n01"}});
  EXPECT_THAT(train.labels.to_vector<int64_t>(), ElementsAre(2, 0, 0));
  EXPECT_THAT(error_of(Split::kTrain, {.classes = {"n02", "n03"}}), HasSubstr("unknown class 'n01'"));
  EXPECT_THAT(error_of(Split::kTrain, {.class_count = 3}), HasSubstr("2 folders, expected 3"));
}

TEST_F(ImageFolder, RefusesClassesThatCannotBeToldApart) {
  write_classes();
  EXPECT_THAT(error_of(Split::kTrain, {.classes = {"n01", "n02", "n02"}}),
              HasSubstr("class 'n02' is named twice"));
}

TEST_F(ImageFolder, RefusesAnEmptyTrainingFolder) {
  photograph("val/n02/d.ppm");
  std::filesystem::create_directory(folder_ / "train");
  EXPECT_THAT(error_of(Split::kTest), HasSubstr("train: no folders, expected one a class"));
}

TEST_F(ImageFolder, ReadsATableForBothSplits) {
  write_text(folder_ / "labels.csv",
             "file,wnid,class_index,class_name\na.ppm,n05,5,\"crane, bird\"\nb.ppm,n02,2,tench\n");
  photograph("a.ppm");
  photograph("images/b.ppm");
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const Dataset images = image_folder(folder_.path(), split, {.class_count = 6});
    EXPECT_THAT(images.labels.to_vector<int64_t>(), ElementsAre(5, 2));
    EXPECT_THAT(images.classes, ElementsAre("class 0", "class 1", "n02", "class 3", "class 4", "n05"));
    EXPECT_THAT(images.files->path(1), EndsWith("images/b.ppm"));
  }
  const Dataset mapped = image_folder(folder_.path(), Split::kTest, {.classes = {"n05", "n02"}});
  EXPECT_THAT(mapped.labels.to_vector<int64_t>(), ElementsAre(0, 1));
  EXPECT_THAT(error_of(Split::kTest, {.class_count = 5}),
              HasSubstr("class indices up to 5, expected less than 5"));
  std::filesystem::remove(folder_ / "a.ppm");
  EXPECT_THAT(error_of(Split::kTest), HasSubstr("labels.csv, line 2: a.ppm is neither in"));
}

TEST_F(ImageFolder, TakesIndicesWhereATableHasNoNamesOfFolders) {
  write_text(folder_ / "labels.csv", "file,class_index,class_name\na.ppm,0,crane\na.ppm,1,crane\na.ppm,2,\n");
  photograph("a.ppm");
  const Dataset train = image_folder(folder_.path(), Split::kTrain);
  const Dataset test = image_folder(folder_.path(), Split::kTest, {.classes = train.classes});
  EXPECT_THAT(test.labels.to_vector<int64_t>(), ElementsAre(0, 1, 2));
  EXPECT_THAT(error_of(Split::kTest, {.classes = {"crane", "crane"}}),
              HasSubstr("line 4: class_index is '2', expected a whole number from 0 to 1"));
}

TEST_F(ImageFolder, NamesTheFolderThatIsWrong) {
  EXPECT_THAT(error_of(Split::kTest), HasSubstr("neither a folder val nor a file labels.csv"));
  write_classes();
  std::filesystem::create_directories(folder_ / "train/n00");
  EXPECT_THAT(error_of(Split::kTrain), HasSubstr("train/n00: no images"));
  std::filesystem::create_directories(folder_ / "val/n09");
  EXPECT_THAT(error_of(Split::kTest), HasSubstr("unknown class 'n09'"));
  EXPECT_THROW(image_folder(folder_ / "nowhere", Split::kTest), Error);
}

TEST_F(ImageFolder, ReadsNamesOfClasses) {
  const std::string path = folder_ / "classes.csv";
  write_text(path, "class_index,wnid,class_name\n1,n02,\n0,n01,\"crane, bird\"\n");
  const std::vector<ClassName> names = read_class_names(path);
  ASSERT_EQ(names.size(), 2U);
  EXPECT_EQ(names[0].shown(), "crane, bird");
  EXPECT_EQ(names[1].shown(), "n02");
  write_text(path, "class_index,wnid,class_name\n1,n02,a\n1,n01,b\n");
  EXPECT_THROW(read_class_names(path), Error);
  write_text(path, "class_index,wnid,class_name\n2,n02,a\n");
  EXPECT_THROW(read_class_names(path), Error);
}

}  // namespace
}  // namespace ds
