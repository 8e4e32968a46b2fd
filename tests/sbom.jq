# From the output of `cargo metadata`: the packages that the root package is linked from or built with. `$page`: what its page is built of.

($checksums | split("\n") | map(select(. != "") | split(" ") | {key: "\(.[0]) \(.[1])", value: .[2]}) | from_entries) as $sums
| (.packages | map({key: .id, value: .}) | from_entries) as $packages
| (.resolve.nodes | map({key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind != "dev")) | .pkg]}) | from_entries) as $needs

| def reached($known; $new):
    if $new == [] then $known
    else ($known + $new) as $all
    | reached($all; [$new[] as $id | $needs[$id][]] | unique | . - $all)
    end;
  def purl: "pkg:cargo/\(.name)@\(.version)";
  def component:
    {
      type: "library", "bom-ref": purl, name: .name, version: .version, purl: purl,
      licenses: (if .license then [{expression: (.license | gsub("/"; " OR ") | gsub(" +"; " "))}] else [] end),
      hashes: [$sums["\(.name) \(.version)"] // empty | {alg: "SHA-256", content: .}]
    };

  def of_page:
    "pkg:npm/\(.name)@\(.version)" as $purl
    | {
        type: "library", "bom-ref": $purl, name: .name, version: .version, purl: $purl,
        licenses: [{expression: .license}], hashes: [{alg: "SHA-512", content: .sum}]
      };

  .resolve.root as $root
| reached([]; [$root]) as $all
| {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: ($packages[$root] | component | .type = "application"),
      properties: [{name: "cargo:target", value: $target}]
    },
    components: ([$all[] | select(. != $root) | $packages[.] | component] + ($page | map(of_page)) | sort_by(.purl)),
    dependencies: [$all[] as $id | {ref: ($packages[$id] | purl), dependsOn: ([$needs[$id][] | $packages[.] | purl] | unique)}] | sort_by(.ref)
  }
