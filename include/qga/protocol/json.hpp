// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Lets users move protocol types to and from nlohmann::json: `nlohmann::json j = ga.info();`.
// The library itself uses the encoder and the decoder directly. Base64 members stay base64 in JSON.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "qga/protocol/decode.hpp"
#include "qga/protocol/encode.hpp"

namespace qga {

template <class T>
requires protocol::Described<T> || protocol::NamedEnum<T>
void to_json(nlohmann::json& json, const T& value) {
  std::string text;
  protocol::Encoder(text).value(value);
  json = nlohmann::json::parse(text);
}

/// @throws std::exception, with the member's name, where `json` has another shape
template <class T>
requires protocol::Described<T> || protocol::NamedEnum<T>
void from_json(const nlohmann::json& json, T& value) { protocol::decode_text(json.dump(), value); }

}  // namespace qga
