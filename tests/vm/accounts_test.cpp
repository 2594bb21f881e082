// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Passwords and keys, compared with the files in which the guest keeps them.
#include <algorithm>
#include <string>
#include <vector>

#include "live.hpp"

using namespace vm_test;

namespace {

/// What /etc/shadow holds for the user `tester`.
std::string hash(Vm& vm) { return vm.run("sed -n 's/^tester:\\([^:]*\\):.*/\\1/p' /etc/shadow"); }

/// Whether a password is the user's.
bool logs_in(Vm& vm, const std::string& password) {
  const std::string wanted = hash(vm);
  return vm.run("mkpasswd -m sha512 -S \"$(echo '" + wanted + "' | cut -d'$' -f3)\" '" + password +
                "'") == wanted;
}

}  // namespace

TEMPLATE_TEST_CASE("guest-set-user-password", "[commands]", Blocking, Async) {
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string first = hash(vm);
  ga.set_user_password("tester", "from " + std::string(way_name<TestType>));
  CHECK(hash(vm) != first);
  CHECK(logs_in(vm, "from " + std::string(way_name<TestType>)));
  CHECK_FALSE(logs_in(vm, "another"));

  const std::string crypted = vm.run("mkpasswd -m sha512 -S abcdefgh secret");
  ga.set_user_password("tester", crypted, true);
  CHECK(hash(vm) == crypted);

  for (const char* const bad : {"two\nlines", "\n", "secret\nroot:x"}) {
    CAPTURE(bad);
    refusal_of(ga, [&] { ga.set_user_password("tester", bad); });
  }
  refusal_of(ga, [&] { ga.set_user_password("nobody-here", "secret"); });
  refusal_of(ga, [&] { ga.set_user_password("tester:root", "secret"); });
  refusal_of(ga, [&] { ga.set_user_password("", "secret"); });
  CHECK(hash(vm) == crypted);
  CHECK(contains(vm.run("cat /etc/shadow"), "root:*:"));
}

TEMPLATE_TEST_CASE(
    "guest-ssh-get-authorized-keys guest-ssh-add-authorized-keys guest-ssh-remove-authorized-keys",
    "[commands]", Blocking, Async) {
  using Keys = std::vector<std::string>;
  Vm& vm = ready_vm();
  TestType ga(vm.agent());
  const std::string file = "/home/tester/.ssh/authorized_keys";
  vm.run("rm -rf /home/tester/.ssh");
  refusal_of(ga, [&] { ga.ssh_get_authorized_keys("tester"); });  // there is no file yet

  ga.ssh_add_authorized_keys("tester", {"ssh-ed25519 AAAAone one@x", "ssh-ed25519 AAAAtwo"});
  CHECK(vm.run("cat " + file) == "ssh-ed25519 AAAAone one@x\nssh-ed25519 AAAAtwo");
  CHECK(vm.run("stat -c '%a %U' " + file) == "600 tester");
  CHECK(vm.run("stat -c '%a %U' /home/tester/.ssh") == "700 tester");
  Keys keys = ga.ssh_get_authorized_keys("tester");
  std::sort(keys.begin(), keys.end());  // this agent gives the last one first
  CHECK(keys == Keys{"ssh-ed25519 AAAAone one@x", "ssh-ed25519 AAAAtwo"});

  ga.ssh_add_authorized_keys("tester", {"ssh-ed25519 AAAAtwo", "ssh-rsa AAAAthree"});
  CHECK(vm.run("grep -c . " + file) == "3");  // what is there is not added again
  ga.ssh_remove_authorized_keys("tester", {"ssh-ed25519 AAAAtwo", "ssh-rsa AAAAnot-there"});
  CHECK(vm.run("cat " + file) == "ssh-ed25519 AAAAone one@x\nssh-rsa AAAAthree");
  ga.ssh_add_authorized_keys("tester", {"ssh-rsa AAAAonly"}, true);
  CHECK(vm.run("cat " + file) == "ssh-rsa AAAAonly");

  refusal_of(ga, [&] { ga.ssh_add_authorized_keys("nobody-here", {"ssh-rsa AAAA"}); });
  refusal_of(ga, [&] { ga.ssh_get_authorized_keys("nobody-here"); });
  refusal_of(ga, [&] { ga.ssh_remove_authorized_keys("nobody-here", {"ssh-rsa AAAA"}); });
  refusal_of(ga, [&] { ga.ssh_add_authorized_keys("tester", {"ssh-rsa AAAA\nssh-rsa BBBB"}); });
  refusal_of(ga, [&] { ga.ssh_add_authorized_keys("tester", {"# a comment"}); });
  CHECK(vm.run("cat " + file) == "ssh-rsa AAAAonly");
}
