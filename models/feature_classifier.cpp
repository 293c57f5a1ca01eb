#include "models/feature_classifier.h"

#include "autograd/functions.h"

namespace ds::models {

FeatureClassifier::FeatureClassifier(std::string name, const Parts& parts)
    : name_(std::move(name)),
      features_(add("features", parts.features)),
      pooled_(parts.pooled),
      classifier_(add("classifier", parts.classifier)) {}

Variable FeatureClassifier::forward(const Variable& x) {
  return (*classifier_)(flatten(adaptive_avg_pool2d((*features_)(x), pooled_)));
}

}  // namespace ds::models
