// CIFAR-10 and CIFAR-100, binary version (Krizhevsky 2009): records of 1 (CIFAR-100: 2) label bytes and 3072
// pixel bytes, R, G and B planes row-major.
#pragma once

#include "data/dataset.h"

namespace ds {

/// Mean and deviation commonly used for CIFAR-10 (paper), and those of ImageNet.
Normalization cifar10_normalization();
Normalization imagenet_normalization();

/// Reads data_batch_1..5.bin or test_batch.bin from `folder` or its sub-folder cifar-10-batches-bin. Class
/// names come from batches.meta.txt where it is there. Throws Error naming the file, its size and the size
/// expected, or the record and label.
Dataset cifar10(const std::string& folder, Split split);
/// Reads train.bin or test.bin from `folder` or its sub-folder cifar-100-binary, with fine labels.
Dataset cifar100(const std::string& folder, Split split);
/// Writes images (32x32x3, labels below 256) in the CIFAR-10 binary format; the folder gets what cifar10()
/// reads.
void write_cifar10(const std::string& folder, const Dataset& train, const Dataset& test);

}  // namespace ds
