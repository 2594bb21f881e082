#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Checks what the target `docs` has made, and the pages themselves; prints what is missing.

usage: check.py BUILD/docs [reference | links | reach | includes]...

reference  every command and helper says its errors, its time and since when it is; what it says
           agrees with tests/data/qga-protocol.json and with the table of timeouts; asynchronous
           operations have their fixed sections
links      no dead link within the HTML, nor between the Markdown files; index.md lists every page
reach      every public name is linked from one of the pages
includes   every program on the pages includes what it uses
"""
import json
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))

# What the text of a program uses, and the header that has it.
INCLUDES = [
    (r"\bqga::(?!testing)", "qga/client.hpp"),
    (r"\bqga::testing::", "qga/testing/agent.hpp"),
    (r"\bstd::(cout|cerr|clog|cin)\b", "iostream"),
    (r"\bstd::(o|i)fstream\b", "fstream"),
    (r"\bstd::string\b", "string"),
    (r"\bstd::string_view\b", "string_view"),
    (r"\bstd::vector\b", "vector"),
    (r"\bstd::map\b", "map"),
    (r"\bstd::optional\b", "optional"),
    (r"\bstd::function\b", "functional"),
    (r"\bstd::(j?thread|this_thread)\b", "thread"),
    (r"\bstd::stop_(token|source)\b", "stop_token"),
    (r"\bstd::(mutex|lock_guard|scoped_lock)\b", "mutex"),
    (r"\bstd::atomic\b", "atomic"),
    (r"\bstd::future\b", "future"),
    (r"\bstd::(exception_ptr|rethrow_exception|exception|current_exception)\b", "exception"),
    (r"\bstd::chrono|chrono_literals", "chrono"),
    (r"\bstd::filesystem\b", "filesystem"),
    (r"\bstd::(unique_ptr|shared_ptr|make_shared|make_unique)\b", "memory"),
    (r"\bstd::u?int\d+_t\b", "cstdint"),
    (r"\bstd::(getenv|atoi|exit|system)\b", "cstdlib"),
    (r"\b(sigaction|sigaddset|pthread_sigmask|SIGINT)\b", "csignal"),
    (r"\basio::io_context\b", "asio/io_context.hpp"),
    (r"\basio::co_spawn\b", "asio/co_spawn.hpp"),
    (r"\basio::detached\b", "asio/detached.hpp"),
    (r"\basio::use_awaitable\b", "asio/use_awaitable.hpp"),
    (r"\basio::use_future\b", "asio/use_future.hpp"),
    (r"\basio::this_coro\b", "asio/this_coro.hpp"),
    (r"\basio::steady_timer\b", "asio/steady_timer.hpp"),
    (r"\basio::signal_set\b", "asio/signal_set.hpp"),
]
# Headers that bring another one with them, by what they are for.
BRINGS = {
    "asio/use_awaitable.hpp": ["asio/awaitable.hpp"],
    "qga/testing/agent.hpp": [],
    "signal.h": ["csignal"],
}


def text_of(element):
    return " ".join("".join(element.itertext()).split()) if element is not None else ""


# ---- what Doxygen has read ---------------------------------------------------------------------


class Member:
    """A function, type or constant of the reference."""

    def __init__(self, owner, element):
        self.owner = owner
        self.element = element
        self.name = element.findtext("name")
        self.where = f"{owner}::{self.name}"
        self.is_public = element.get("prot") == "public"
        self.kind = element.get("kind")

    def section(self, title):
        for section in self.element.iter("simplesect"):
            if section.get("kind") == title or section.findtext("title") == title:
                return text_of(section).removeprefix(title).strip()
        return ""

    def errors(self):
        return [text_of(item.find("parameternamelist"))
                for list_ in self.element.iter("parameterlist") if list_.get("kind") == "exception"
                for item in list_.iter("parameteritem")]

    def undocumented_parameters(self):
        documented = {text_of(name) for list_ in self.element.iter("parameterlist")
                      if list_.get("kind") == "param" for name in list_.iter("parametername")}
        names = [parameter.findtext("declname") for parameter in self.element.findall("param")]
        return [name for name in names if name and name not in documented]


class Reference:
    def __init__(self, directory):
        self.compounds = {}
        for compound in ElementTree.parse(directory / "index.xml").getroot():
            if compound.get("kind") in ("class", "struct", "namespace", "concept"):
                file = directory / (compound.get("refid") + ".xml")
                definition = ElementTree.parse(file).getroot().find("compounddef")
                name = definition.findtext("compoundname")
                if name.startswith("qga"):
                    self.compounds[name] = definition

    def members(self, owner):
        return [Member(owner, element)
                for element in self.compounds[owner].iter("memberdef")]


def timeouts():
    """The defaults by command, as detail/protocol/handling.hpp has them."""
    header = (ROOT / "include/qga/detail/protocol/handling.hpp").read_text()
    unit = {"seconds": "s", "minutes": "min"}
    return {name: f"{count} {unit[kind]}" for name, kind, count in
            re.findall(r'\{"(guest-[\w-]+)", std::chrono::(seconds|minutes)\((\d+)\)', header)}


def check_reference(directory):
    reference = Reference(directory / "xml")
    missing = []
    count = 0

    requests = {}  # by the command's method
    for name, definition in reference.compounds.items():
        for element in definition.iter("memberdef"):
            wire = re.fullmatch(r'= "guest-([\w-]+)"', text_of(element.find("initializer")))
            if wire and element.findtext("name") == "command":
                requests[wire[1].replace("-", "_")] = (name, definition)

    families = [name for name in reference.compounds
                if re.fullmatch(r"qga::\w+(Commands|Helpers)", name)]
    methods = [method for family in families for method in reference.members(family)
               if method.is_public and method.kind == "function"]
    commands = {method.name: method for method in methods if method.owner.endswith("Commands")}
    missing += [f"no method for the command {name}" for name in requests.keys() - commands.keys()]
    missing += [f"{commands[name].where}: no request" for name in commands.keys() - requests.keys()]

    protocol = json.loads((ROOT / "tests/data/qga-protocol.json").read_text())
    by_method = {command["name"].removeprefix("guest-").replace("-", "_"): command
                 for command in protocol["commands"]}
    since = {name: re.sub(r"^(\d+\.\d+)\.0$", r"\1", command["since"])
             for name, command in by_method.items()}
    missing += [f"no method for the command {name}" for name in since.keys() - commands.keys()]

    slow = timeouts()
    for method in methods:
        count += 1
        for title in ("since", "Timeout"):
            if not method.section(title):
                missing.append(f"{method.where}: no {title}")
        if not method.errors():
            missing.append(f"{method.where}: no errors (@throws)")
        missing += [f"{method.where}: the parameter {name} is not described"
                    for name in method.undocumented_parameters()]
        if not re.search(r"\b(QEMU )?\d+\.\d+.*(guests|Linux|Windows)", method.section("since")):
            missing.append(f"{method.where}: since when, and which guests?")
    for name in commands.keys() & requests.keys():
        said = commands[name].section("Timeout")
        right = slow.get("guest-" + name.replace("_", "-"), "5 s")
        if not re.match(re.escape(right) + r"\b", said):
            missing.append(f"{commands[name].where}: the timeout is {right}, not as it says: {said}")
        request, definition = requests[name]
        for where, text in ((commands[name].where, commands[name].section("since")),
                            (request, " ".join(text_of(section) for section in definition.findall(
                                "detaileddescription//simplesect[@kind='since']")))):
            first = re.search(r"\d+\.\d+", text)
            if not first or first[0] != since[name]:
                missing.append(f"{where}: it is since QEMU {since[name]}, not as it says: {text}")

        systems = set(re.findall("any|freebsd|linux|posix|windows", by_method[name]["guests"]))
        said = set(re.findall("all|freebsd|linux|posix|windows",
                              commands[name].section("since").lower()))
        if systems == {"any"}:  # the headers may say from which version on
            systems = said if said in ({"all"}, {"posix", "windows"}) else {"all"}
        if not systems <= said:
            missing.append(f"{commands[name].where}: guests are {sorted(systems)}, not {sorted(said)}")

    fixed = ("Handler signature", "Per-operation cancellation", "Executor")
    operations = [member for owner in reference.compounds
                  for member in reference.members(owner)
                  if member.is_public and re.match(r"async(_|$)", member.name)]
    for operation in operations:
        missing += [f"{operation.where}: no section '{title}'" for title in (*fixed, "Timeout")
                    if not operation.section(title)]
        missing += [f"{operation.where}: the parameter {name} is not described"
                    for name in operation.undocumented_parameters()]
    for owner in ("qga::Commands", "qga::Helpers"):
        titles = {title.text for title in
                  reference.compounds[owner].findall("detaileddescription//title")}
        missing += [f"{owner}: no section '{title}'" for title in fixed if title not in titles]

    print(f"reference: {len(commands)} commands, {count - len(commands)} helpers, "
          f"{len(operations)} asynchronous operations")
    return missing


# ---- links ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The links and the anchors of a file of HTML."""

    def __init__(self, file):
        super().__init__()
        self.links = []
        self.anchors = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src", "data") and value:
                self.links.append(value)


def anchor_of(heading, known):
    """The anchor that a forge gives to a heading."""
    heading = re.sub(r"\s*\{#[^}]*\}\s*$", "", heading)
    heading = re.sub(r"\]\([^)]*\)", "", heading).lower()
    anchor = re.sub(r"[^a-z0-9 _-]", "", heading).strip().replace(" ", "-")
    unique, number = anchor, 1
    while unique in known:
        unique, number = f"{anchor}-{number}", number + 1
    return unique


def without_code(text):
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "`code`", text)


def check_links(directory):
    dead = []
    html = directory / "html"
    pages = {file.name: Page(file) for file in html.glob("*.html")}
    count = 0
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            count += 1
            target, _, anchor = urllib.parse.unquote(link).partition("#")
            target = target or name
            if target not in pages:
                if not (html / target).exists():
                    dead.append(f"{name}: {link}")
            elif anchor and anchor not in pages[target].anchors:
                dead.append(f"{name}: {link}: no such anchor")

    files = PAGES + sorted(ROOT.glob("*.md"))
    texts = {file: file.read_text() for file in files}
    anchors = {}
    for file, text in texts.items():
        anchors[file] = set()
        fenceless = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
        for heading in re.findall(r"^#+ (.*)$", fenceless, re.MULTILINE):
            anchors[file].add(anchor_of(heading, anchors[file]))
    for file, text in texts.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
            if re.match(r"[a-z]+:", link):
                continue
            count += 1
            target, _, anchor = link.partition("#")
            path = (file.parent / target).resolve() if target else file
            if not path.exists():
                dead.append(f"{file.relative_to(ROOT)}: {link}")
            elif anchor and path in anchors and anchor not in anchors[path]:
                dead.append(f"{file.relative_to(ROOT)}: {link}: no such heading")
    index = (ROOT / "docs/index.md").read_text()
    dead += [f"docs/index.md does not list {page.name}" for page in PAGES
             if page.name != "index.md" and f"({page.name})" not in index]
    print(f"links: {count}, in {len(pages)} generated and {len(files)} written pages")
    return sorted(set(dead))


# ---- what is reached --------------------------------------------------------------------------


def check_reach(directory):
    reference = Reference(directory / "xml")
    linked = set()
    for page in PAGES:
        file = directory / "html" / (page.stem + ".html")
        for link in Page(file).links if file.exists() else []:
            linked.add(link)
            linked.add(link.partition("#")[0])

    missing = []
    count = 0
    for name, definition in reference.compounds.items():
        if definition.get("kind") != "namespace":
            # A page of a class counts for what the class has within it.
            outer = name.rpartition("::")[0]
            is_within = outer in reference.compounds and \
                reference.compounds[outer].get("kind") != "namespace"
            if not is_within:
                count += 1
                if definition.get("id") + ".html" not in linked:
                    missing.append(name)
            continue
        for element in definition.findall("sectiondef/memberdef"):
            count += 1
            page, _, anchor = element.get("id").rpartition("_1")
            if f"{page}.html#{anchor}" not in linked:
                missing.append(f"{name}::{element.findtext('name')}")
    # Each command and each helper has to be linked itself.
    for name in reference.compounds:
        if re.fullmatch(r"qga::\w+(Commands|Helpers)", name):
            overloads = {}
            for member in reference.members(name):
                if member.is_public and member.kind == "function":
                    page, _, anchor = member.element.get("id").rpartition("_1")
                    overloads.setdefault(member.where, []).append(f"{page}.html#{anchor}")
            count += len(overloads)
            missing += [where for where, links in overloads.items() if not linked & set(links)]
    print(f"reach: {count} names, {len(PAGES)} pages")
    return [f"no page links {name}" for name in sorted(set(missing))]


# ---- programs ---------------------------------------------------------------------------------


def check_includes(_):
    missing = []
    count = 0
    for page in PAGES + [ROOT / "README.md"]:
        text = page.read_text()
        for block in re.finditer(r"^```cpp.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            code = re.sub(r"//[^\n]*", "", block[1])
            if "int main" not in code:
                continue
            count += 1
            line = text.count("\n", 0, block.start()) + 1
            included = set(re.findall(r"#include [<\"]([^>\"]+)[>\"]", code))
            for header in list(included):
                included.update(BRINGS.get(header, []))
            missing += [f"{page.relative_to(ROOT)}:{line}: #include <{header}>"
                        for pattern, header in INCLUDES
                        if re.search(pattern, code) and header not in included]
    print(f"includes: {count} programs")
    return missing


CHECKS = {"reference": check_reference, "links": check_links, "reach": check_reach,
          "includes": check_includes}


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= CHECKS.keys():
        sys.exit(__doc__)
    if not Path(sys.argv[1], "html", "index.html").exists() and sys.argv[2:] != ["includes"]:
        print(f"skipped: the target docs has made nothing in {sys.argv[1]}")
        sys.exit(77)
    failed = False
    for name in sys.argv[2:] or CHECKS:
        for problem in CHECKS[name](Path(sys.argv[1])):
            print(f"  {problem}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
