// MNIST (LeCun, Cortes), idx files: big-endian numbers, 0x00000803 count rows columns before the pixels of
// images, 0x00000801 count before the labels.
#pragma once

#include "data/dataset.h"

namespace ds {

/// Mean and deviation commonly used for MNIST.
Normalization mnist_normalization();

/// Reads {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte from `folder` or its sub-folder
/// mnist, plain or as .gz, also under the names with a dot ("train-images.idx3-ubyte"). Images are N,28,28,1.
/// Throws Error naming the file, what was found and what was expected.
Dataset mnist(const std::string& folder, Split split);

}  // namespace ds
