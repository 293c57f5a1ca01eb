// Integer nets as safetensors files: the graph as JSON in the metadata, packed codes, multipliers, addends
// and shifts as tensors.
//
//   deepshift.integer_net   {"version": 1, "nodes": [{"kind": "input", ...}, ...]}, docs/integer-net.md;
//                           version 2 where a node has weights of two terms
//   node3.codes             u8  packed codes of the filters of node 3 (core/shift/codes.h)
//   node3.multiplier        i32 by output channel
//   node3.addend            i64
//   node3.shift             u8
#pragma once

#include <string>

#include "core/safetensors.h"
#include "infer/integer_net.h"

namespace ds::infer {

/// Whether a file says that it holds an integer net.
bool holds_integer_net(const SafetensorsFile& file);

/// Writes the net, and what else the caller wants to say under keys of its own. Equal nets give equal bytes.
/// Throws Error, with the old file untouched, when anything fails.
void save_integer_net(const std::string& path, const IntegerNet& net, const Metadata& notes = {});

/// Throws Error naming the file and the node: everything is checked.
IntegerNet load_integer_net(const SafetensorsFile& file);
IntegerNet load_integer_net(const std::string& path);

}  // namespace ds::infer
