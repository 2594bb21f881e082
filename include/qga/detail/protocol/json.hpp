// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Lets users move protocol types to and from nlohmann::json: `nlohmann::json j = ga.info();`.
// The library itself uses the encoder and the decoder directly. Base64 members stay base64 in JSON.
// `to_json` never throws because of what a guest says: a NUL stays a character, and an enumerator
// that is newer than the library becomes null.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/decode.hpp"
#include "qga/detail/protocol/encode.hpp"

namespace qga {

template <class T>
requires Described<T> || NamedEnum<T>
void to_json(nlohmann::json& json, const T& value) {
  std::string text;
  detail::Encoder(text, detail::Encoder::For::user).value(value);
  json = nlohmann::json::parse(text);
}

/// @throws std::exception, with the member's name, where `json` has another shape
template <class T>
requires Described<T> || NamedEnum<T>
void from_json(const nlohmann::json& json, T& value) { detail::decode_text(json.dump(), value); }

}  // namespace qga
