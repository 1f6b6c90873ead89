(function () {
  var diagram = document.getElementById("diagram"), tools = document.getElementById("tools");
  tools.style.display = "block";
  function all(name) {
    return name ? diagram.querySelectorAll('[data-m="' + name + '"]') : [];
  }
  function show(name) {
    diagram.querySelectorAll(".on").forEach(function (it) { it.classList.remove("on"); });
    diagram.classList.toggle("hovering", !!name);
    all(name).forEach(function (it) { it.classList.add("on"); });
  }
  var kept = null;
  diagram.addEventListener("mouseover", function (event) {
    if (!kept) show(event.target.getAttribute("data-m"));
  });
  diagram.addEventListener("click", function (event) {
    kept = event.target.getAttribute("data-m");
    show(kept);
  });
  var only = document.getElementById("only");
  if (only) only.addEventListener("change", function () {
    diagram.classList.toggle("only", only.checked);
  });
})();
