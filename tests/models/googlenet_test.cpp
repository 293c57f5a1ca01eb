#include "models/googlenet.h"

#include <gmock/gmock.h>

#include "core/random.h"
#include "layers/checkpoint.h"
#include "layers/convert.h"
#include "layers/init.h"
#include "models/initialise.h"
#include "tests/layers/support.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::error_of;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Tensor random_images(const Shape& shape) {
  Tensor images = Tensor::empty(shape);
  Generator generator(3);
  fill_normal(images, 0.0, 1.0, generator);
  return images;
}

TEST(GoogLeNet, GivesAuxiliaryLogitsInTrainingAlone) {
  const ModulePtr net = models::googlenet({.classes = 5});
  const Tensor images = random_images({2, 64, 64, 3});
  (*net)(images);
  const std::vector<Variable> logits = net->take_auxiliary();
  ASSERT_EQ(logits.size(), 2U);
  for (const Variable& auxiliary : logits) {
    EXPECT_EQ(auxiliary.shape(), (Shape{2, 5}));
    EXPECT_TRUE(auxiliary.requires_grad());
  }
  EXPECT_TRUE(net->take_auxiliary().empty());  // they were taken

  const Graph graph = trace(*net, images);
  EXPECT_TRUE(net->take_auxiliary().empty());
  for (const TracedNode& node : graph.nodes) EXPECT_FALSE(node.scope.starts_with("aux")) << node.scope;

  (*net)(images);
  net->eval();
  const NoGrad no_grad;
  (*net)(images);
  EXPECT_TRUE(net->take_auxiliary().empty());  // not those of the pass before
}

TEST(GoogLeNet, BringsImagesToAMeanAndADeviationOfAHalf) {
  const ModulePtr net = models::googlenet({.classes = 5});
  const ModulePtr plain = models::googlenet_plain({.classes = 5});
  for (const ModulePtr& each : {net, plain}) {
    manual_seed(1);
    models::for_each_layer<WeightedLayer>(*each, [](WeightedLayer& layer) {
      models::set_weight(layer, kaiming_normal(layer.weight().shape()));  // logits that the image moves
      models::zero_bias(layer);
    });
    each->eval();
  }
  const Tensor images = random_images({1, 64, 64, 3});
  Tensor transformed = images.clone();
  constexpr float kMean[] = {0.485F, 0.456F, 0.406F};
  constexpr float kDeviation[] = {0.229F, 0.224F, 0.225F};
  for (int64_t i = 0; i < transformed.numel(); ++i) {
    float& x = transformed.data<float>()[i];
    x = (x * kDeviation[i % 3] + kMean[i % 3] - 0.5F) / 0.5F;
  }
  const NoGrad no_grad;
  const auto found = (*net)(images).value().to_vector<float>();
  EXPECT_THAT((*plain)(transformed).value().to_vector<float>(),
              testing::Pointwise(testing::FloatNear(1e-4F), found));
  EXPECT_THAT((*plain)(images).value().to_vector<float>(),
              testing::Not(testing::Pointwise(testing::FloatNear(1e-2F), found)));
}

/// A model file without the tensors whose names begin with one of these.
class GoogLeNetFiles : public testing::Test {
 protected:
  SafetensorsFile without(const std::vector<std::string>& prefixes) {
    std::vector<NamedTensor> tensors;
    for (const NamedParameter& parameter : saved_->named_parameters()) {
      tensors.push_back({parameter.name, parameter.layout.to_file(parameter.value.value())});
    }
    for (const NamedBuffer& buffer : saved_->named_buffers()) tensors.push_back({buffer.name, *buffer.value});
    std::erase_if(tensors, [&](const NamedTensor& tensor) {
      return std::ranges::any_of(prefixes,
                                 [&](const auto& prefix) { return tensor.name.starts_with(prefix); });
    });
    write_safetensors(folder_ / "net.safetensors", tensors, {});
    return SafetensorsFile(folder_ / "net.safetensors");
  }

  static std::vector<float> values(const Module& net, const std::string& name) {
    for (const NamedParameter& parameter : net.named_parameters()) {
      if (parameter.name == name) return parameter.value.value().to_vector<float>();
    }
    return {};
  }

  test::TemporaryFolder folder_;
  ModulePtr saved_ = models::googlenet({.classes = 5});
  ModulePtr net_ = models::googlenet({.classes = 5});
};

TEST_F(GoogLeNetFiles, MayLeaveOutTheHeads) {
  const std::vector<float> head = values(*net_, "aux1.fc1.weight");
  load_model(without({"aux1.", "aux2."}), *net_);
  EXPECT_EQ(values(*net_, "conv1.conv.weight"), values(*saved_, "conv1.conv.weight"));
  EXPECT_EQ(values(*net_, "aux1.fc1.weight"), head);
  load_model(without({}), *net_);
  EXPECT_EQ(values(*net_, "aux1.fc1.weight"), values(*saved_, "aux1.fc1.weight"));
}

TEST_F(GoogLeNetFiles, LeaveConvertedHeadsConverted) {
  convert_to_shift(*net_, {.weight_bits = 4});
  load_model(without({"aux1.", "aux2."}), *net_);
  for (const NamedLayer& named : weighted_layers(*net_)) {
    EXPECT_EQ(named.layer->weight().format().has_value(), named.path.starts_with("aux")) << named.path;
  }
}

TEST_F(GoogLeNetFiles, MayNotLeaveOutPartsOfThem) {
  EXPECT_THAT(error_of([&] { load_model(without({"aux2.fc1."}), *net_); }),
              AllOf(HasSubstr("missing: aux2.fc1.weight"), HasSubstr("missing: aux2.fc1.bias"),
                    Not(HasSubstr("aux1"))));
  EXPECT_THAT(error_of([&] {
                load_model(without({"aux1.", "aux2.", "fc."}), *net_);
              }),
              AllOf(HasSubstr("missing: fc.weight"), Not(HasSubstr("aux"))));
}

}  // namespace
}  // namespace ds
