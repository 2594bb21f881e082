// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Defines the subcommand metrics.
#include "metrics.hpp"

#include <memory>

#include "tool.hpp"

namespace qga_tool {

void define_metrics(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<MetricsOptions>();
  CLI::App* const sub =
      define(app, tool, "metrics", "Show the figures of all guests for Prometheus",
             [&tool, options] { return metrics(tool, *options); });
  CLI::Option* const listen =
      sub->add_option("--listen", options->listen,
                      "Serve them over HTTP at /metrics, until Ctrl-C: HOST:PORT, [IPv6]:PORT or "
                      ":PORT")
          ->type_name("ADDRESS");
  sub->add_option("-o,--output", options->output,
                  "Write them to a file, which is replaced when they are whole")
      ->type_name("FILE")
      ->excludes(listen);
  sub->footer(
      "Each guest is asked six commands at most, together, within --timeout (5). Whoever can reach "
      "ADDRESS can read the figures: there is no password.");
}

}  // namespace qga_tool
