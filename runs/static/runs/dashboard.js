// The dashboard: draws its charts with the Chart.js that the console brings, and refreshes itself while it is visible.
"use strict";

(() => {
  const dashboard = document.getElementById("dashboard");
  if (!dashboard) return;

  const status = document.getElementById("dashboard-status");
  const pauseButton = document.getElementById("dashboard-pause");
  const seconds = Number(dashboard.dataset.refreshSeconds);
  const LABELS = {
    success: "Success", interrupted: "Interrupted", timeout: "Timeout", error: "Error", created: "Created",
    failed: "Failed", waiting: "Waiting", p50: "p50", p95: "p95",
  };
  const charts = new Map();
  let refreshedAt = Date.now();
  let timer = null;
  let isPaused = false;

  const colour = (name) => getComputedStyle(dashboard).getPropertyValue(`--chart-${name}`).trim();
  const data = () => JSON.parse(document.getElementById("dashboard-data").textContent);

  function series(chart, name, values) {
    const isStacked = chart === "throughput" && name !== "created";
    return {
      label: LABELS[name], name, data: values, type: isStacked ? "bar" : "line", stack: isStacked ? "finished" : name,
      borderWidth: isStacked ? 0 : 2, pointRadius: 1.5, spanGaps: false, tension: 0,
      borderDash: name === "p95" || name === "created" ? [4, 3] : [], fill: name === "waiting", order: isStacked ? 1 : 0,
    };
  }

  function paint(chart) {
    for (const dataset of chart.data.datasets) {
      dataset.borderColor = colour(dataset.name);
      dataset.backgroundColor = dataset.fill ? colour("area") : colour(dataset.name);
    }
    for (const axis of [chart.options.scales.x, chart.options.scales.y]) {
      axis.ticks.color = colour("text");
      axis.grid.color = colour("grid");
    }
    chart.options.plugins.legend.labels.color = colour("text");
    chart.update();
  }

  function options(datasets) {
    return {
      animation: false, responsive: true, maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: { legend: { display: datasets.length > 1, position: "bottom", labels: { boxWidth: 12, boxHeight: 8 } } },
      scales: {
        x: { stacked: true, ticks: { autoSkip: true, maxRotation: 0 }, grid: { display: false } },
        y: { beginAtZero: true, ticks: { maxTicksLimit: 5 }, grid: {} },
      },
    };
  }

  function draw() {
    const found = data();
    for (const canvas of dashboard.querySelectorAll("canvas[data-chart]")) {
      const name = canvas.dataset.chart;
      const datasets = Object.entries(found[name]).map(([key, values]) => series(name, key, values));
      let chart = charts.get(name);
      if (chart) {
        chart.data = { labels: found.labels, datasets };
      } else {
        chart = new Chart(canvas, { type: "line", data: { labels: found.labels, datasets }, options: options(datasets) });
        charts.set(name, chart);
      }
      paint(chart);
    }
  }

  // Only what is marked is replaced, so that the focus and what is folded out stay.
  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const regions = [...dashboard.querySelectorAll("[data-live]")];
    const found = regions.map((region) => fresh.querySelector(`[data-live="${region.dataset.live}"]`));
    if (found.includes(null)) throw new Error("the answer is another page; you may have to log in again");
    const focused = document.activeElement?.getAttribute("href");
    regions.forEach((region, number) => region.replaceChildren(...found[number].childNodes));
    if (focused && document.activeElement === document.body) {
      dashboard.querySelector(`[data-live] a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
    draw();
  }

  function say(text) {
    if (status.textContent !== text) status.textContent = text;
  }

  async function refresh() {
    timer = null;
    if (isPaused || document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": "1" }, cache: "no-store" });
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      show(await answer.text());
      refreshedAt = Date.now();
      say(`Refreshed every ${seconds} seconds`);
    } catch (error) {
      say(`As of ${new Date(refreshedAt).toLocaleTimeString()}: ${error.message}`);
    }
    schedule(seconds);
  }

  function schedule(after) {
    clearTimeout(timer);
    timer = isPaused || document.hidden ? null : setTimeout(refresh, after * 1000);
  }

  pauseButton.addEventListener("click", () => {
    isPaused = !isPaused;
    pauseButton.setAttribute("aria-pressed", String(isPaused));
    pauseButton.textContent = isPaused ? "Go on" : "Pause";
    say(isPaused ? "Paused" : `Refreshed every ${seconds} seconds`);
    schedule(0);
  });
  document.addEventListener("visibilitychange", () => {
    schedule(Math.max(0, seconds - (Date.now() - refreshedAt) / 1000));
  });
  new MutationObserver(() => charts.forEach(paint)).observe(document.documentElement, { attributeFilter: ["class"] });

  draw();
  schedule(seconds);
})();
