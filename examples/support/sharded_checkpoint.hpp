// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/file_error.hpp"
#include "examples/support/json_file.hpp"
#include "examples/support/safetensors_reader.hpp"

namespace polymoe::tools {

/// A checkpoint of one or of many safetensors files, as Hugging Face lays them out.
class Checkpoint {
 public:
  /// `path`: a .safetensors file, a model.safetensors.index.json, or a folder with one or the other.
  /// Raises InputError for everything that is amiss in any of the files.
  static Checkpoint open(const std::string& path, SafetensorsFile::Storage storage = SafetensorsFile::Storage::mapped) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
      return path.ends_with(".json") ? open_index(path, storage) : open_single(path, storage);
    }
    const fs::path index = fs::path(path) / "model.safetensors.index.json";
    if (fs::exists(index, ignored)) return open_index(index.string(), storage);
    return open_single((fs::path(path) / "model.safetensors").string(), storage);
  }

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }

  /// The names of all tensors, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, place] : places_) all.push_back(name);
    return all;
  }

  bool contains(const std::string& name) const { return places_.contains(name); }

  /// Null where there is none of that name.
  const StoredTensor* find(const std::string& name) const {
    const auto at = places_.find(name);
    return at == places_.end() ? nullptr : files_[at->second].find(name);
  }

  /// Raises InputError where there is none of that name or polymoe does not use its type.
  TensorView view(const std::string& name) const {
    const auto at = places_.find(name);
    if (at == places_.end()) refuse(path_, name, "no such tensor", "the tensor");
    return files_[at->second].view(name);
  }

 private:
  static Checkpoint open_single(const std::string& path, SafetensorsFile::Storage storage) {
    Checkpoint checkpoint;
    checkpoint.path_ = path;
    checkpoint.files_.push_back(SafetensorsFile::open(path, storage));
    for (const StoredTensor& tensor : checkpoint.files_[0].tensors()) checkpoint.places_.emplace(tensor.name, 0);
    return checkpoint;
  }

  static Checkpoint open_index(const std::string& path, SafetensorsFile::Storage storage) {
    const nlohmann::json index = read_json(path);
    if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
      refuse(path, "weight_map", "no such object", "an object from tensor names to file names");
    }
    Checkpoint checkpoint;
    checkpoint.path_ = path;
    std::map<std::string, std::size_t> opened;
    for (const auto& [tensor, shard] : index["weight_map"].items()) {
      if (!shard.is_string()) refuse(path, tensor, "a " + std::string(shard.type_name()), "the name of a file");
      const std::string file = shard.get<std::string>();
      const auto [at, is_new] = opened.emplace(file, checkpoint.files_.size());
      if (is_new) checkpoint.files_.push_back(SafetensorsFile::open(beside(path, tensor, file), storage));
      const SafetensorsFile& holder = checkpoint.files_[at->second];
      if (holder.find(tensor) == nullptr) {
        refuse(path, tensor, "no such tensor in " + file, "the tensor, as the index says");
      }
      checkpoint.places_.emplace(tensor, at->second);
    }
    return checkpoint;
  }

  /// An index names files of its own folder, not anything on the machine.
  static std::string beside(const std::string& index, const std::string& tensor, const std::string& file) {
    if (file.empty() || file == "." || file == ".." ||
        file.find_first_of(std::string("/\\\0", 3)) != std::string::npos) {
      refuse(index, tensor, "the file name " + in_quotes(file), "the name of a file in the same folder");
    }
    return (std::filesystem::path(index).parent_path() / file).string();
  }

  std::string path_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> places_;
};

}  // namespace polymoe::tools
