// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <zlib.h>

#include <array>
#include <stdexcept>
#include <string>

namespace polymoe::tools {

/// The lines of a text file, plain or gzip (zlib reads both).
class LineReader {
 public:
  explicit LineReader(const std::string& path) : file_(gzopen(path.c_str(), "rb")) {
    if (file_ == nullptr) throw std::runtime_error(path + ": cannot be opened");
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader() { gzclose(file_); }

  /// Reads the next line without its end. False after the last. Throws where the file is damaged.
  bool next(std::string& line) {
    line.clear();
    std::array<char, 1 << 14> part;
    while (gzgets(file_, part.data(), static_cast<int>(part.size())) != nullptr) {
      line += part.data();
      if (line.ends_with('\n')) {
        line.pop_back();
        return true;
      }
    }
    int status = Z_OK;
    const char* message = gzerror(file_, &status);
    if (status != Z_OK && status != Z_STREAM_END) throw std::runtime_error(message);
    return !line.empty();
  }

 private:
  gzFile file_;
};

}  // namespace polymoe::tools
