// A network of two parts, as many of torchvision's are.
#pragma once

#include <string>

#include "core/op_options.h"
#include "layers/module.h"

namespace ds::models {

/// classifier(flatten(adaptive_avg_pool2d(features(x), pooled))), [N,H,W,3] to [N,classes]. Names:
/// features..., classifier...
class FeatureClassifier : public Module {
 public:
  struct Parts {
    ModulePtr features;
    Size2d pooled = 1;  // height and width of what the classifier sees
    ModulePtr classifier;
  };
  FeatureClassifier(std::string name, const Parts& parts);

  Variable forward(const Variable& x) override;
  std::string describe() const override { return name_; }

 private:
  std::string name_;
  ModulePtr features_;
  Size2d pooled_;
  ModulePtr classifier_;
};

}  // namespace ds::models
